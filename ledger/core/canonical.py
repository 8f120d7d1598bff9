"""Canonical JSON and the smallest forms (FORMATS 1).

`parse` takes exactly the bytes that RFC 8785 would write, `load` any spelling people use; both give the same
values. Hostile bytes raise `FormatError` only, in time and memory linear in their length: callers cap the
length, this module caps nesting and numbers.

orjson writes what RFC 8785 writes, but for numbers that it ends in `.0` or gives an exponent, and for names outside
the Basic Multilingual Plane (UTF-16 order). Values with those go through rfc8785, which is about 50 times slower.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Final, TypeAlias, TypeGuard

import orjson
import rfc8785

from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
JSONObject: TypeAlias = "dict[str, JSON]"

AUTHORITY_KINDS: Final = frozenset({"root", "mark", "permissions", "assignment", "member", "invite", "schema"})

_DUMP: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
# A number as orjson writes it that RFC 8785 may write otherwise: it ends in `.0`, or has an exponent. Any other is the shortest run of
# digits with a point, of a size for which both use no exponent. A match inside a string costs time only.
_ODD: Final = re.compile(rb"[:\[,]-?[0-9]+(?:\.0|(?:\.[0-9]+)?e[0-9+-]+)[,\]}]")
_EXPONENT: Final = re.compile(rb"e[0-9+-]+[,\]}]")  # what every odd number without `.0` has; found faster
# Lead byte of a code point above U+FFFF: its UTF-16 order differs from its byte order.
_ASTRAL: Final = re.compile(rb"[\xf0-\xf4]")

_SURROGATE: Final = re.compile("[\ud800-\udfff]")

_KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
_HEX40: Final = re.compile(r"[0-9a-f]{40}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


def sha256_hex(message: bytes) -> str:
    """Return H(message): SHA-256 in lower-case hex."""
    return hashlib.sha256(message).hexdigest()


def parse(text: bytes, *, nesting: int = LIMITS.nesting) -> JSON:
    """Return the value of canonical JSON. Raises FormatError for any other bytes."""
    value = _loads(text)
    if text.count(b"{") + text.count(b"[") > nesting or b"\\u0000" in text:
        _check(value, nesting)
    plain = _write(value, odd=False)
    if _is_odd(value, plain):
        _check(value, nesting)
        plain = _write(value, odd=True)
    if plain != text:
        raise FormatError("not canonical JSON (RFC 8785)")
    return value


def load(text: bytes | str, *, nesting: int = LIMITS.nesting) -> JSON:
    """Return the value of JSON in any spelling, as `parse` would give it. Raises FormatError.

    What `parse` refuses by meaning is refused here too: doubled names, lone surrogates, U+0000, big numbers.
    """
    try:
        octets = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise FormatError("not Unicode text") from error
    value = _loads(octets)
    _check(value, nesting)
    # Numbers stay text here: the value is orjson's, this pass only looks for doubled names.
    json.loads(octets.decode(), object_pairs_hook=_refuse_doubles, parse_int=str, parse_float=str)
    normal: JSON = orjson.loads(_write(value, odd=True))  # 1.0 becomes 1, -0 becomes 0
    return normal


def dump(value: JSON, *, nesting: int = LIMITS.nesting) -> bytes:
    """Return the canonical form of `value`. Raises FormatError if it has none."""
    _check(value, nesting)
    return encode(value)


def encode(value: JSON) -> bytes:
    """Return the canonical form of a value made of parsed JSON. Unlike `dump` it trusts its input."""
    plain = _write(value, odd=False)
    return _write(value, odd=True) if _is_odd(value, plain) else plain


def same(left: JSON, right: JSON) -> bool:
    """Tell whether two parsed values are equal: their canonical bytes are (1, true and "1" all differ)."""
    if type(left) is str and type(right) is str:
        return left == right
    return encode(left) == encode(right)


def is_integer(value: JSON, least: int = 0) -> TypeGuard[int]:
    """Tell whether a parsed value is an integer, no boolean, of at least `least`."""
    return type(value) is int and value >= least


def is_kind(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is a kind: of the form, and no authority kind in another case."""
    if not isinstance(value, str) or _KIND.fullmatch(value) is None:
        return False
    return value in AUTHORITY_KINDS or value.lower() not in AUTHORITY_KINDS


def is_id(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is a policy id."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_name(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is a name."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_hex64(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is 64 lower-case hex digits."""
    return isinstance(value, str) and _HEX64.fullmatch(value) is not None


def is_hex40(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is 40 lower-case hex digits."""
    return isinstance(value, str) and _HEX40.fullmatch(value) is not None


def is_time(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is a time: `YYYY-MM-DDThh:mm:ssZ`, a real date from 1970 on."""
    if not isinstance(value, str) or value < "1970" or _TIME.fullmatch(value) is None or value[11:13] > "23":
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_text_set(value: JSON) -> TypeGuard[list[JSON]]:
    """Tell whether the value is a set: a list of at most 1,024 different strings."""
    if not isinstance(value, list) or len(value) > LIMITS.set_size:
        return False
    return all(type(member) is str for member in value) and len(set(value)) == len(value)


def is_id_set(value: JSON) -> TypeGuard[list[JSON]]:
    """Tell whether the value is a set of ids."""
    return is_text_set(value) and all(map(is_id, value))


def parse_time(text: str) -> int:
    """Return the Unix seconds of a time. Raises FormatError."""
    if not is_time(text):
        raise FormatError("not a time of the form YYYY-MM-DDThh:mm:ssZ")
    elapsed = datetime.fromisoformat(text) - _EPOCH
    return elapsed.days * 86_400 + elapsed.seconds


def format_time(seconds: int) -> str:
    """Return Unix seconds as a time. Raises FormatError outside the years 1970 to 9999."""
    if not 0 <= seconds <= _LAST_SECOND:
        raise FormatError("a time must lie in the years 1970 to 9999")
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _loads(text: bytes) -> JSON:
    try:
        value: JSON = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FormatError(f"not JSON: {error.msg}") from error
    return value


def _is_odd(value: JSON, plain: bytes) -> bool:
    """Tell whether RFC 8785 may write `value` otherwise than orjson, which wrote `plain`."""
    if type(value) is float or (not plain.isascii() and _ASTRAL.search(plain) is not None):
        return True
    return (b".0" in plain or _EXPONENT.search(plain) is not None) and _ODD.search(plain) is not None


def _write(value: JSON, *, odd: bool) -> bytes:
    try:
        return rfc8785.dumps(value) if odd else orjson.dumps(value, option=_DUMP)
    except (TypeError, rfc8785.CanonicalizationError) as error:  # orjson's error is a TypeError
        raise FormatError(f"no canonical JSON: {error}") from error


def _refuse_doubles(pairs: list[tuple[str, JSON]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise FormatError("a name stands twice in one object")


def _check(value: JSON, nesting: int) -> None:
    """Check types, nesting, numbers and text of a value, level by level. Raises FormatError."""
    level: list[JSON] = [value]
    depth = 0
    while level:
        below: list[JSON] = []
        for item in level:
            if type(item) is dict:
                below.extend(item)
                below.extend(item.values())
            elif type(item) is list:
                below.extend(item)
            else:
                _check_scalar(item)
                continue
            if depth == nesting:
                raise FormatError(f"nested more than {nesting} deep")
        level = below
        depth += 1


def _check_scalar(item: JSON) -> None:
    kind = type(item)
    if kind is str:
        _check_text(str(item))
    elif kind is int or kind is float:
        # A comparison that NaN fails too.
        if not -LIMITS.number <= item <= LIMITS.number:  # type: ignore[operator] # the kind is checked
            raise FormatError("a number of more than 2^53-1")
    elif item is not None and kind is not bool:
        raise FormatError(f"no JSON value: {kind.__name__}")


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise FormatError("U+0000 in text")
    if not text.isascii() and _SURROGATE.search(text):
        raise FormatError("a lone surrogate in text")
