"""What the two processes of a master say to each other, over a pair of sockets: frames of four bytes of length and a payload.

*Towards* the signing process every payload is either an append, in a fixed layout, or a command in JSON: it may come from a process that
somebody else has taken over, so nothing is read here that could do more than be refused. *From* the signing process, which is
believed, payloads are lists of plain tuples in the interpreter's own `marshal` format: both ends are one program, and it is
the cheapest there is. Many appends, and many answers, share a write.
"""

from __future__ import annotations

import marshal
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ledger.core.backend import Placed, Refused
from ledger.core.errors import BusyError, FormatError, LedgerError, OutcomeUnknown, error_class
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH = struct.Struct("!I")
APPEND = struct.Struct("!cIqBIH")  # kind, number, expected size (-1: any), receipts, callers, count; then the lengths, then the entries
COMMAND = struct.Struct("!cI")  # kind, number; then JSON
APPEND_KIND, COMMAND_KIND = b"a", b"c"
MOST_ASKED = LIMITS.batch_entries * (LIMITS.entry + 4) + APPEND.size
MOST_TOLD = 2**31 - 1

PlainError = tuple[str, str, str, dict[str, object]]
PlainResult = tuple[int, str, bytes | None] | PlainError


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to append. `callers`: how many requests wait for an answer, this one among them."""

    number: int
    entries: tuple[bytes, ...]
    expected_size: int | None
    receipts: bool
    callers: int = 1


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its arguments."""

    number: int
    name: str
    arguments: Mapping[str, object]


class Frames:
    """Cuts a stream of bytes into payloads."""

    def __init__(self, most: int) -> None:
        """Take frames of `most` bytes at most."""
        self._most = most
        self._rest = bytearray()

    def feed(self, octets: bytes) -> list[bytes]:
        """Return the payloads that these bytes complete. Raises FormatError for one that is too long."""
        whole: bytes | bytearray = octets
        if self._rest:
            self._rest += octets
            whole = self._rest
        found, at, end = [], 0, len(whole)
        while end - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(whole, at)
            if size > self._most:
                raise FormatError("a frame is too long")
            if end - at - LENGTH.size < size:
                break
            at += LENGTH.size
            found.append(bytes(whole[at : at + size]))
            at += size
        if whole is self._rest:
            del self._rest[:at]
        elif at < end:
            self._rest += octets[at:]
        return found


# -- towards the signing process -------------------------------------------------------------------------------------


def append_frame(ask: Ask) -> bytes:
    """Return the frame of a request to append."""
    entries = ask.entries
    expected = -1 if ask.expected_size is None else ask.expected_size
    head = APPEND.pack(APPEND_KIND, ask.number, expected, ask.receipts, ask.callers, len(entries))
    lengths = struct.pack(f"!{len(entries)}I", *map(len, entries))
    size = len(head) + len(lengths) + sum(map(len, entries))
    return b"".join((LENGTH.pack(size), head, lengths, *entries))


def command_frame(command: Command) -> bytes:
    """Return the frame of a command."""
    text = orjson.dumps({"do": command.name, **command.arguments})
    return LENGTH.pack(COMMAND.size + len(text)) + COMMAND.pack(COMMAND_KIND, command.number) + text


def parse_asked(payload: bytes) -> Ask | Command:
    """Return what a payload asks for. Raises FormatError for anything else than what the two functions above make."""
    kind = payload[:1]
    if kind == APPEND_KIND:
        return _parse_append(payload)
    if kind != COMMAND_KIND or len(payload) < COMMAND.size:
        raise FormatError("neither an append nor a command")
    _, number = COMMAND.unpack_from(payload)
    try:
        arguments = orjson.loads(payload[COMMAND.size :])
    except orjson.JSONDecodeError as error:
        raise FormatError("a command is JSON") from error
    if not isinstance(arguments, dict) or not isinstance(name := arguments.pop("do", None), str):
        raise FormatError("a command has a name")
    return Command(number, name, arguments)


def _parse_append(payload: bytes) -> Ask:
    try:
        _, number, expected, receipts, callers, count = APPEND.unpack_from(payload)
        lengths = struct.unpack_from(f"!{count}I", payload, APPEND.size)
    except struct.error as error:
        raise FormatError("an append is cut off") from error
    at = APPEND.size + 4 * count
    if at + sum(lengths) != len(payload) or receipts > 1 or expected < -1:
        raise FormatError("an append has another length than it says")
    entries = []
    for length in lengths:
        entries.append(payload[at : at + length])
        at += length
    return Ask(number, tuple(entries), None if expected < 0 else expected, bool(receipts), callers)


# -- from the signing process ----------------------------------------------------------------------------------------


def told_frame(told: list[tuple[Any, ...]]) -> bytes:
    """Return the frame of what is told. ValueError for what is not plain."""
    payload = marshal.dumps(told)
    return LENGTH.pack(len(payload)) + payload


def parse_told(payload: bytes) -> list[tuple[Any, ...]]:
    """Return what the signing process tells."""
    told: list[tuple[Any, ...]] = marshal.loads(payload)  # noqa: S302 - from our own child, which holds more than we do
    return told


def plain_error(error: LedgerError) -> PlainError:
    """Return an error as plain values. What its context holds beyond them becomes text."""
    return error.code, error.message, error.hint, plain_facts(error.context)


def plain_facts(facts: Mapping[str, object]) -> dict[str, object]:
    """Return facts with everything that is not plain turned into text."""
    return {name: fact if is_plain(fact) else str(fact) for name, fact in facts.items()}


def is_plain(fact: Any) -> bool:
    """Tell whether a fact can be told as it is."""
    try:
        marshal.dumps(fact)
    except ValueError:
        return False
    return True


def error_of(plain: PlainError) -> LedgerError:
    """Return the error that `plain_error` made plain."""
    code, message, advice, context = plain
    cls = error_class(code)
    if issubclass(cls, BusyError | OutcomeUnknown):
        return cls(message, **context)  # type: ignore[arg-type]  # their context is what they take
    return cls(message, advice=advice, **context)


def plain_result(result: Placed | Refused) -> PlainResult:
    """Return a result as plain values."""
    if isinstance(result, Placed):
        return result.index, result.digest, result.receipt
    return plain_error(result.error)


def result_of(plain: PlainResult) -> Placed | Refused:
    """Return the result that `plain_result` made plain."""
    if len(plain) == 3:  # noqa: PLR2004 - index, digest, receipt
        return Placed(*plain)
    return Refused(error_of(plain))
