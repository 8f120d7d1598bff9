"""Admission: from the bytes that someone sends to a place in the log, free of any transport.

Size, spelling, and who may hand it in are checked here. What an entry says is read once, by the sequencer, which lives in another process:
there its signatures are checked and the fold judges it. The author of a statement and whoever hands it in may differ: an
envelope proves its author by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.backend import Placed, Refused
from ledger.core.envelope import Envelope, entry_id, parse_envelope, rebuild_envelope
from ledger.core.errors import FormatError, LedgerError, NotAllowedError, TooLargeError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auth.principal import Principal
    from ledger.engine.ports import Appender

SPELLINGS_BYTES = 4 * LIMITS.entry
INLINE = 8
ENTRY_BEGINS, ENTRY_ENDS = b'{"payload":"', b'"}]}'


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one envelope. `id` is its policy's, when it was placed."""

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
        entry = respell(text) if is_odd(text) else text
        require_may_hand_in(entry, principal)
        result = await self._append(entry, terms)
        if isinstance(result, Refused) and isinstance(result.error, FormatError) and (other := respell(text)) != entry:
            # Only the sequencer looks closely enough to see that it is not the one spelling.
            entry, result = other, await self._append(other, terms)
        if isinstance(result, Refused):
            raise result.error
        return Verdict(entry_id(entry), result)

    async def _append(self, entry: bytes, terms: Terms) -> Placed | Refused:
        (result,) = await self._log.append([entry], expected_size=terms.expected_size, receipts=terms.receipts)
        return result

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
        good = [one for one in read if isinstance(one, bytes)]
        placed = await self._log.append(good, expected_size=terms.expected_size, receipts=terms.receipts) if good else []
        results = iter(placed)
        return [Verdict(None, Refused(one)) if isinstance(one, LedgerError) else verdict_of(one, next(results)) for one in read]


def verdict_of(entry: bytes, result: Placed | Refused) -> Verdict:
    """Return what became of an entry."""
    return Verdict(entry_id(entry) if isinstance(result, Placed) else None, result)


def read_all(texts: Sequence[bytes], principal: Principal) -> list[bytes | LedgerError]:
    """Return each as an entry, or why it is not even judged."""
    return [read_allowed(text, principal) for text in texts]


def read_allowed(text: bytes, principal: Principal) -> bytes | LedgerError:
    """Return the entry that `text` spells, or why it is not even judged."""
    try:
        entry = read_entry(text)
        require_may_hand_in(entry, principal)
    except LedgerError as error:
        return error
    return entry


def is_odd(text: bytes) -> bool:
    """Tell whether `text` cannot be the one spelling of an envelope: at a glance, not for sure."""
    return len(text) > LIMITS.entry or not text.startswith(ENTRY_BEGINS) or not text.endswith(ENTRY_ENDS)


def read_entry(text: bytes) -> bytes:
    """Return the one spelling of the envelope in `text`; what its statement says is not read. Raises `FormatError`, `TooLargeError`."""
    try:
        return parse_envelope(text).entry
    except FormatError:
        return respell(text)


def respell(text: bytes) -> bytes:
    """Return the one spelling of an envelope in any other. Raises `FormatError`, `TooLargeError`."""
    if len(text) > SPELLINGS_BYTES:
        raise TooLargeError(f"an envelope has at most {LIMITS.entry} bytes as an entry", limit=LIMITS.entry)
    return rebuild_envelope(text).entry


def read_envelope(entry: bytes) -> Envelope:
    """Return the envelope of an entry, its statement read. Raises `FormatError`."""
    envelope = parse_envelope(entry)
    _ = envelope.statement.digest
    return envelope


def require_may_hand_in(entry: bytes, principal: Principal) -> None:
    """Raise `NotAllowedError` when this principal may not hand this in: an invite opens the door for its own member only."""
    if principal.allows("write"):
        return
    statement = read_envelope(entry).statement
    body = statement.body or {}
    own = statement.op == "put" and statement.kind == "member" and statement.by == principal.keyid and body.get("invite") == principal.id
    if not own:
        raise NotAllowedError("with an invite only the member statement that uses it can be published")
