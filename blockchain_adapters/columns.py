"""Payloads as shapes and values: what repeats between statements is said once, and what cannot be compressed stands apart (ADR 0080).

A payload is cut at its JSON scalars into a *shape*, the text between them, and *values*. Both are plain pieces of its bytes, so whatever
comes is rebuilt exactly; nothing depends on a payload being JSON, or a statement. Values that are hex or can be computed are written as
*tokens*, which begin with a control character; no value does.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLE: Final = b"\x00"  # in a shape: a value stands here
MAX_VALUES: Final = 256  # of one payload; one with more is a single value

_DERIVED: Final = b"\x01"  # the id that the statement derives
_AGAIN: Final = b"\x02"  # hex that stood before; its number follows, in the order of first appearance
_FRESH: Final = b"\x03"  # hex of the next raw bytes; how many follows
_EARLIER: Final = b"\x04"  # the digest of an earlier payload; how many payloads before this one follows
_FIRST_TEXT: Final = b"\x05"

# A string, told from a name by the colon behind it, or a number or word. One that never ends is taken whole: linear, whatever comes.
_SCALAR: Final = re.compile(rb'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"(:?)|\\?\Z)|(-?[0-9][0-9.eE+-]*|true|false|null)')
_CONTROL: Final = re.compile(rb"[\x00-\x1f]")
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2}){8,128}")
_LEAST_HEX: Final = 16
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,6}")
_ID: Final = b'","id":"'
_ID_DIGITS: Final = 40
_STATEMENT: Final = re.compile(
    rb'\{"body":(.*),"by":"[^"\\]*","iat":"[^"\\]*","id":"","kind":"([^"\\]*)","ledger":"[^"\\]*","op":"[^"\\]*","prev":[^,]*,"v":1\}',
    re.DOTALL,
)


def cut(payload: bytes) -> tuple[bytes, list[bytes]] | None:
    """Return shape and values of a payload; None when it holds control characters, which no canonical one does."""
    if _CONTROL.search(payload):
        return None
    pieces: list[bytes] = []
    values: list[bytes] = []
    at = 0
    for match in _SCALAR.finditer(payload):
        if match[2]:
            continue
        start, end = match.span(1 if match[3] is None else 3)
        pieces.append(payload[at:start])
        values.append(payload[start:end])
        at = end
    if len(values) > MAX_VALUES:
        return HOLE, [payload]
    pieces.append(payload[at:])
    return HOLE.join(pieces), values


def columns_of(shape: bytes) -> list[bytes]:
    """Return for each hole of a shape the name of its column: the text before it, from the last comma on."""
    return [piece[piece.rfind(b",") + 1 :] for piece in shape.split(HOLE)[:-1]]


def fill(pieces: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return the payload of a shape's pieces and as many values as it has holes. FormatError when it is longer than a statement may be."""
    if sum(map(len, values)) > LIMITS.entry:
        raise FormatError("a payload is longer than an entry")
    text = [b""] * (2 * len(values) + 1)
    text[::2] = pieces
    text[1::2] = values
    return b"".join(text)


class TokenWriter:
    """Writes values as tokens, entry by entry. `raw`: the bytes that stand apart."""

    def __init__(self) -> None:
        self.raw = bytearray()
        self._numbers: dict[bytes, int] = {}
        self._payloads: dict[bytes, int] = {}
        self._count = 0

    def values(self, payload: bytes, shape: bytes, values: list[bytes]) -> list[bytes]:
        """Return the tokens of a payload's values, and remember the payload."""
        plain = _without_derived(shape, values)
        tokens = [self.hex(value) if len(value) >= _LEAST_HEX and _HEX.fullmatch(value) else value for value in plain]
        self._payloads[hashlib.sha256(payload).hexdigest().encode()] = self._count
        self._count += 1
        return tokens

    def hex(self, value: bytes) -> bytes:
        """Return the token of an even number of hex digits, 16 to 256."""
        number = self._numbers.get(value)
        if number is not None:
            return b"%b%d" % (_AGAIN, number)
        payload = self._payloads.get(value)
        if payload is not None:
            return b"%b%d" % (_EARLIER, self._count - payload)
        self._numbers[value] = len(self._numbers)
        self.raw += bytes.fromhex(value.decode())
        return b"%b%d" % (_FRESH, len(value) // 2)


class TokenReader:
    """Reads what a `TokenWriter` wrote. FormatError for whatever it cannot have written."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        self._hex: list[bytes] = []
        self._again: dict[bytes, bytes] = {}
        self._payloads: list[bytes] = []

    def payload(self, pieces: Sequence[bytes], tokens: list[bytes]) -> bytes:
        """Return the payload of a shape's pieces and its tokens, and remember it."""
        again = self._again
        values = [
            again[token] if token in again else token if token >= _FIRST_TEXT or not token or token == _DERIVED else self.value(token)
            for token in tokens
        ]
        if _DERIVED in values:
            missing = _derived(fill(pieces, [b"" if one == _DERIVED else one for one in values]))
            if missing is None:
                raise FormatError("a derived id stands in what is no statement")
            values = [missing if one == _DERIVED else one for one in values]
        payload = fill(pieces, values)
        self._payloads.append(payload)
        return payload

    def value(self, token: bytes) -> bytes:
        """Return the hex that a token stands for."""
        known = self._again.get(token)
        if known is not None:
            return known
        kind, number = token[:1], token[1:]
        if not _NUMBER.fullmatch(number):
            raise FormatError("a token without its number")
        count = int(number)
        if kind == _FRESH:
            self._hex.append(self.take(count).hex().encode())
            return self._hex[-1]
        if kind == _AGAIN and count < len(self._hex):
            return self._again.setdefault(token, self._hex[count])
        if kind == _EARLIER and 0 < count <= len(self._payloads):
            return hashlib.sha256(self._payloads[-count]).hexdigest().encode()
        raise FormatError("a token that stands for nothing")

    def take(self, count: int) -> bytes:
        """Return the next raw bytes."""
        self._at += count
        if self._at > len(self._raw):
            raise FormatError("the raw bytes end too early")
        return self._raw[self._at - count : self._at]

    @property
    def exhausted(self) -> bool:
        """Tell whether all raw bytes were taken."""
        return self._at == len(self._raw)


def _without_derived(shape: bytes, values: list[bytes]) -> list[bytes]:
    """Return the values with the statement's id as a token, if it is the one that the statement derives."""
    pieces = shape.split(HOLE)
    place = next((at for at in range(len(values) - 1, -1, -1) if pieces[at].endswith(_ID)), None)
    if place is None or len(values[place]) != _ID_DIGITS:
        return values
    blank = [*values[:place], b"", *values[place + 1 :]]
    if _derived(fill(pieces, blank)) != values[place]:
        return values
    return [*values[:place], _DERIVED, *values[place + 1 :]]


def _derived(payload: bytes) -> bytes | None:
    match = _STATEMENT.fullmatch(payload)
    return None if match is None else hashlib.sha256(b'{"%b":%b}' % (match[2], match[1])).hexdigest()[:_ID_DIGITS].encode()
