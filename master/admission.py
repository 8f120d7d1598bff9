"""Admission: from the bytes that someone sends to a place in the log, free of any transport.

Size, form, and who may hand it in are checked here; whether signatures hold and what the statement may do is judged by the
fold, once, in the sequencer's thread, with many signatures verified ahead on threads of its own. The author of a statement
and whoever hands it in may differ: an envelope proves its author by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ledger.core.backend import Placed, Refused
from ledger.core.envelope import Envelope, parse_envelope, rebuild_envelope
from ledger.core.errors import FormatError, LedgerError, NotAllowedError, TooLargeError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth.principal import Principal

SPELLINGS_BYTES = 4 * LIMITS.entry
INLINE = 8


class Appender(Protocol):
    """Where admitted envelopes go (`ledger.engine.sequencer.Sequencer`)."""

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        """Order, judge, store and sign. One result an envelope."""
        ...

    def require_room(self, count: int) -> None:
        """Raise `BusyError` when so many envelopes would be pushed back now."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one envelope. `id` is its policy's, if it could be read."""

    id: str | None
    result: Placed | Refused


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms envelopes are handed in: only at this size of the log; with receipts or without."""

    expected_size: int | None = None
    receipts: bool = True


class Admission:
    """Takes what people hand in."""

    def __init__(self, log: Appender) -> None:
        self._log = log
        self._reading = asyncio.Semaphore(1)  # reading is Python: many threads of it would only keep the event loop waiting

    async def admit(self, text: bytes, principal: Principal, terms: Terms = Terms()) -> Verdict:
        """Place one envelope, in any JSON spelling. Raises the error that refuses it."""
        envelope = read_envelope(text)
        require_may_hand_in(envelope, principal)
        (result,) = await self._log.append([envelope], expected_size=terms.expected_size, receipts=terms.receipts)
        if isinstance(result, Refused):
            raise result.error
        return Verdict(envelope.statement.id, result)

    async def admit_many(self, texts: Sequence[bytes], principal: Principal, terms: Terms = Terms()) -> list[Verdict]:
        """Place many envelopes, in order; each is taken or refused by itself. Raises only what concerns all of them."""
        if len(texts) > LIMITS.request_entries:
            raise TooLargeError(f"a request has at most {LIMITS.request_entries} envelopes", limit=LIMITS.request_entries)
        self._log.require_room(len(texts))
        if len(texts) > INLINE:
            async with self._reading:
                read = await asyncio.to_thread(read_all, texts, principal)
        else:
            read = read_all(texts, principal)
        good = [one for one in read if isinstance(one, Envelope)]
        placed = await self._log.append(good, expected_size=terms.expected_size, receipts=terms.receipts) if good else []
        results = iter(placed)
        return [Verdict(None, Refused(one)) if isinstance(one, LedgerError) else Verdict(one.statement.id, next(results)) for one in read]


def read_all(texts: Sequence[bytes], principal: Principal) -> list[Envelope | LedgerError]:
    """Return each envelope, or why it is not even judged."""
    return [read_allowed(text, principal) for text in texts]


def read_allowed(text: bytes, principal: Principal) -> Envelope | LedgerError:
    """Return the envelope in `text`, or why it is not even judged."""
    try:
        envelope = read_envelope(text)
        require_may_hand_in(envelope, principal)
    except LedgerError as error:
        return error
    return envelope


def read_envelope(text: bytes) -> Envelope:
    """Return the envelope in `text`, its statement read. Raises `FormatError`, `TooLargeError`."""
    if len(text) > SPELLINGS_BYTES:
        raise TooLargeError(f"an envelope has at most {LIMITS.entry} bytes as an entry", limit=LIMITS.entry)
    try:
        envelope = parse_envelope(text)
    except FormatError:
        envelope = rebuild_envelope(text)
    _ = envelope.statement.digest
    return envelope


def require_may_hand_in(envelope: Envelope, principal: Principal) -> None:
    """Raise `NotAllowedError` when this principal may not hand this in: an invite opens the door for its own member only."""
    if principal.allows("write"):
        return
    statement = envelope.statement
    body = statement.body or {}
    own = statement.op == "put" and statement.kind == "member" and statement.by == principal.keyid and body.get("invite") == principal.id
    if not own:
        raise NotAllowedError("with an invite only the member statement that uses it can be published")
