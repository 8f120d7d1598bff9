"""Admission: from the bytes that someone sends to a place in the log, free of any transport.

Size, form, who may hand it in, signatures; then the sequencer judges and orders. The author of a statement and whoever
hands it in may differ. That a signature is by a key is a pure fact, so it is checked here, once, before the queue: inline
for one envelope, on threads for many; the fold, asking in the commit transaction, finds the fact noted. What cannot be
checked here (a key this log does not know) is left to the fold.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from ledger.core.backend import Placed, Refused
from ledger.core.envelope import Envelope, pae, parse_envelope, rebuild_envelope
from ledger.core.errors import FormatError, LedgerError, NotAllowedError, TooLargeError
from ledger.core.keys import PublicKey
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auth.principal import Principal
    from ledger.core.canonical import JSON
    from ledger.core.state import StateView
    from ledger.http.members import PointReads

KNOWN_KEYS = 65_536
SLICE = 64
THREADS = 2
SPELLINGS_BYTES = 4 * LIMITS.entry

Fact = tuple[bytes, bytes, bytes]
S = TypeVar("S")
T = TypeVar("T")


class Appender(Protocol):
    """Where admitted envelopes go (`ledger.engine.sequencer.Sequencer`)."""

    async def append(self, envelopes: Sequence[Envelope], *, expected_size: int | None = None) -> list[Placed | Refused]:
        """Order, judge, store and sign. One result an envelope."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one envelope. `id` is its policy's, if it could be read."""

    id: str | None
    result: Placed | Refused


class VerifiedSignatures:
    """Signatures found good and not yet judged. `check` is what the fold asks; it is safe to call from another thread."""

    def __init__(self) -> None:
        self._good: set[Fact] = set()

    def note(self, facts: Sequence[Fact]) -> None:
        """Remember signatures that were found good."""
        self._good.update(facts)

    def forget(self, facts: Sequence[Fact]) -> None:
        """Drop what was judged."""
        self._good.difference_update(facts)

    def check(self, key: PublicKey, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is valid, from memory if it was checked before."""
        return (key.raw, signature, message) in self._good or key.verify(signature, message)


class KnownKeys:
    """Public keys by keyid. What a keyid stands for can never change (it is a hash), so nothing here grows old."""

    def __init__(self, reads: PointReads) -> None:
        self._reads = reads
        self._keys: dict[str, PublicKey] = {}

    def find(self, envelope: Envelope) -> dict[str, PublicKey]:
        """Return the keys of the envelope's signatures, as far as the log or the statement itself names them."""
        wanted = [signature.keyid for signature in envelope.signatures]
        missing = [keyid for keyid in wanted if keyid not in self._keys]
        if missing:
            self._learn(key_texts(envelope.statement.body))
            missing = [keyid for keyid in missing if keyid not in self._keys]
        if missing:
            self._learn(self._reads.read_now(lambda snapshot: stored_keys(snapshot.state(), missing)))
        return {keyid: self._keys[keyid] for keyid in wanted if keyid in self._keys}

    def _learn(self, texts: Sequence[JSON]) -> None:
        if len(self._keys) > KNOWN_KEYS:
            self._keys.clear()
        for text in texts:
            try:
                key = PublicKey.parse(text)
            except FormatError:
                continue
            self._keys[key.keyid] = key


def key_texts(body: JSON) -> list[JSON]:
    """Return what a body says under the names that bring keys in (FORMATS 5 and 6)."""
    if not isinstance(body, dict):
        return []
    admins, marks = body.get("admins"), body.get("mark_keys")
    found: list[JSON] = [body.get("key")]
    if isinstance(admins, list):
        found += [admin.get("key") for admin in admins if isinstance(admin, dict)]
    if isinstance(marks, list):
        found += marks
    return found


def stored_keys(state: StateView, keyids: Sequence[str]) -> list[JSON]:
    """Return the texts of keys that the policies bound to these keyids name."""
    found: list[JSON] = []
    for keyid in keyids:
        bound = state.key(keyid)
        if bound is not None:
            record = state.record("root" if bound.id == "mark" else bound.id)
            found += [] if record is None else key_texts(record.body)
    return found


class Admission:
    """Takes what people hand in. Close it to stop its threads."""

    def __init__(self, log: Appender, reads: PointReads, verified: VerifiedSignatures) -> None:
        self._log = log
        self._keys = KnownKeys(reads)
        self._verified = verified
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="admission")

    def close(self) -> None:
        """Stop the threads; idempotent."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def admit(self, text: bytes, principal: Principal, *, expected_size: int | None = None) -> Verdict:
        """Place one envelope, in any JSON spelling. Raises the error that refuses it."""
        envelope = read_envelope(text)
        require_may_hand_in(envelope, principal)
        facts = good_signatures(envelope, self._keys.find(envelope))
        self._verified.note(facts)
        try:
            (result,) = await self._log.append([envelope], expected_size=expected_size)
        finally:
            self._verified.forget(facts)
        if isinstance(result, Refused):
            raise result.error
        return Verdict(envelope.statement.id, result)

    async def admit_many(self, texts: Sequence[bytes], principal: Principal, *, expected_size: int | None = None) -> list[Verdict]:
        """Place many envelopes, in order; each is taken or refused by itself. Raises only what concerns all of them."""
        if len(texts) > LIMITS.request_entries:
            raise TooLargeError(f"a request has at most {LIMITS.request_entries} envelopes", limit=LIMITS.request_entries)
        read = await self._in_slices(texts, lambda text: self._read(text, principal))
        good = [one for one in read if isinstance(one, Envelope)]
        keys = [self._keys.find(envelope) for envelope in good]
        found = await self._in_slices(list(zip(good, keys, strict=True)), lambda pair: good_signatures(*pair))
        facts = [fact for some in found for fact in some]
        self._verified.note(facts)
        try:
            results = iter(await self._log.append(good, expected_size=expected_size) if good else ())
        finally:
            self._verified.forget(facts)
        return [Verdict(None, Refused(one)) if isinstance(one, LedgerError) else Verdict(one.statement.id, next(results)) for one in read]

    def _read(self, text: bytes, principal: Principal) -> Envelope | LedgerError:
        try:
            envelope = read_envelope(text)
            require_may_hand_in(envelope, principal)
        except LedgerError as error:
            return error
        return envelope

    async def _in_slices(self, items: Sequence[S], work: Callable[[S], T]) -> list[T]:
        loop = asyncio.get_running_loop()
        slices = [items[at : at + SLICE] for at in range(0, len(items), SLICE)]
        parts = await asyncio.gather(*(loop.run_in_executor(self._pool, lambda part: [work(one) for one in part], part) for part in slices))
        return [one for part in parts for one in part]


def read_envelope(text: bytes) -> Envelope:
    """Return the envelope in `text`, its statement read. Raises `FormatError`, `TooLargeError`."""
    if len(text) > SPELLINGS_BYTES:
        raise TooLargeError(f"an envelope has at most {LIMITS.entry} bytes as an entry", limit=LIMITS.entry)
    try:
        envelope = parse_envelope(text)
    except FormatError:
        envelope = rebuild_envelope(text)
    _ = envelope.statement
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


def good_signatures(envelope: Envelope, keys: dict[str, PublicKey]) -> list[Fact]:
    """Return those of the envelope's signatures that are valid, for keys that are known."""
    message = pae(envelope.payload)
    return [
        (key.raw, signature.sig, message)
        for signature in envelope.signatures
        if (key := keys.get(signature.keyid)) is not None and key.verify(signature.sig, message)
    ]
