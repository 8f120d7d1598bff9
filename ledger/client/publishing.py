"""Publishing: wishes become signed statements, statements become proven placements.

A statement follows the last version of its id. Without `expect` the author means "whatever stands there",
so when another version came first the wish is bound anew and sent again, three times at most. With
`expect` it is compare-and-set and the conflict is the answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ledger.client.answers import Published
from ledger.client.authoring import Wish, bind, seal
from ledger.client.outstanding import NoSlips
from ledger.client.overlay import OverlayState
from ledger.core.backend import Placed
from ledger.core.canonical import encode, format_time
from ledger.core.errors import (
    AccessError,
    ConflictError,
    FormatError,
    InvalidError,
    LedgerError,
    NotFoundError,
    OutcomeUnknown,
    UnavailableError,
    UnsupportedError,
    VersionMismatchError,
    error_class,
)
from ledger.core.fold import judge
from ledger.core.limits import LIMITS
from ledger.core.state import Accepted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from ledger.client.authoring import Author
    from ledger.client.outstanding import Slips
    from ledger.client.reader import Reader
    from ledger.core.backend import Backend, Refused
    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.core.ports import Clock, Signer
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot

ATTEMPTS = 3
LOOKS = 10
LOOK_SECONDS = 0.3
REFUSALS = (InvalidError, AccessError, ConflictError, NotFoundError, UnsupportedError)


class ReceiptCheck(Protocol):
    """Decides whether a placement proves what it says."""

    def check(self, placed: Placed, envelope: Envelope) -> None:
        """Raise `VerificationError` unless the receipt shows this very entry in a tree that the log signed."""
        ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How to publish: compare-and-set on a digest, as root admin, without sending, or only after the versions in `basis`.

    `basis` has the digest of each id that was accepted before; the wishes follow these, and what this publisher made since, whatever came
    in meanwhile.
    """

    expect: str | None = None
    as_root: bool = False
    dry_run: bool = False
    basis: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Pen:
    """What statements are written with: whose keys, for which network, at what time."""

    author: Author
    network: str
    clock: Clock

    def write(self, wish: Wish, prev: str | None, *, as_root: bool = False, extra: Sequence[Signer] = ()) -> Envelope:
        """Return the signed statement of `wish` after version `prev`. NotAllowedError when the home lacks the key."""
        by, signer = self.author.for_kind(wish.kind, as_root=as_root)
        iat = format_time(int(self.clock.now()))
        return seal(bind(wish, ledger=self.network, prev=prev, by=by, iat=iat), [signer, *extra])


@dataclass(frozen=True, slots=True)
class _Bound:
    wish: Wish
    envelope: Envelope | None
    unchanged: Record | None = None


class Publisher:
    """Publishes with one pen to one backend. `refresh` brings the reader up to date: for ledgers that place what they do not judge."""

    def __init__(
        self, backend: Callable[[], Awaitable[Backend]], reader: Reader, pen: Pen, receipts: ReceiptCheck, slips: Slips | None = None
    ) -> None:
        self._backend = backend
        self._slips = slips or NoSlips()
        self._reader = reader
        self._pen = pen
        self._receipts = receipts
        self._sent: dict[str, str] = {}
        self._fresh = False
        self.refresh: Callable[[], Awaitable[object]] | None = None

    async def publish(self, wishes: Sequence[Wish], manner: Manner, refresh: Callable[[], Awaitable[object]]) -> AsyncIterator[Published]:
        """Yield one result a wish, in order, as each request is answered. A dry run judges all of them as one batch."""
        most = max(1, len(wishes)) if manner.dry_run else LIMITS.request_entries
        for start in range(0, len(wishes), most):
            for result in await self._chunk(wishes[start : start + most], manner, refresh):
                yield result

    async def send(self, wish: Wish, prev: str | None, extra: Sequence[Signer], *, as_root: bool = False) -> Published:
        """Publish one wish after a version that the caller knows, signed by `extra` keys too."""
        bound = _Bound(wish, self._pen.write(wish, prev, as_root=as_root, extra=extra))
        (result,) = await self._append([bound])
        return result

    async def hand_in(self, envelopes: Sequence[Envelope], *, dry_run: bool = False) -> AsyncIterator[Published]:
        """Append statements that others signed, as they are. Yield one result each, in order; a dry run judges all of them as one batch."""
        bound = [_Bound(Wish(one.op, one.kind, one.id, one.body), envelope) for envelope in envelopes for one in (envelope.statement,)]
        most = max(1, len(bound)) if dry_run else LIMITS.request_entries
        for start in range(0, len(bound), most):
            chunk = bound[start : start + most]
            for result in await (self._judge(chunk) if dry_run else self._append(chunk)):
                yield result

    async def _chunk(self, wishes: Sequence[Wish], manner: Manner, refresh: Callable[[], Awaitable[object]]) -> list[Published]:
        results: list[Published | None] = [None] * len(wishes)
        open_places = list(range(len(wishes)))
        for attempt in range(ATTEMPTS):
            open_wishes = [wishes[place] for place in open_places]
            bound = await self._bind(open_wishes, manner)
            if not self._fresh and not manner.dry_run and any(one.unchanged is not None for one in bound):
                await self._renew(refresh)  # only a fresh copy can say that a policy still stands as it did
                bound = await self._bind(open_wishes, manner)
            answers = await (self._judge(bound) if manner.dry_run else self._append(bound))
            for place, answer in zip(open_places, answers, strict=True):
                results[place] = answer
            open_places = [place for place in open_places if _outrun(results[place], manner)]
            if not open_places or attempt == ATTEMPTS - 1:
                break
            await self._renew(refresh)
        return [result for result in results if result is not None]

    async def _renew(self, refresh: Callable[[], Awaitable[object]]) -> None:
        await refresh()
        self._fresh = True
        self._sent.clear()

    async def _bind(self, wishes: Sequence[Wish], manner: Manner) -> list[_Bound]:
        """Bind each wish to the version it follows: the stored one, or one that this publisher made since."""
        records = await self._reader.records({wish.id for wish in wishes})
        known = {policy_id: record.digest for policy_id, record in records.items()} if manner.basis is None else manner.basis
        latest = {**known, **self._sent}
        found: list[_Bound] = []
        for wish in wishes:
            record = records.get(wish.id)
            is_last = record is not None and latest.get(wish.id) == record.digest
            if record is not None and is_last and manner.expect is None and stands(wish, record):
                found.append(_Bound(wish, None, record))
                continue
            prev = manner.expect if manner.expect is not None else latest.get(wish.id)
            envelope = self._pen.write(wish, prev, as_root=manner.as_root)
            latest[wish.id] = envelope.statement.digest
            found.append(_Bound(wish, envelope))
        return found

    async def _append(self, bound: Sequence[_Bound]) -> list[Published]:
        hopeless = await self._hopeless(bound)
        sent = [one.envelope for place, one in enumerate(bound) if one.envelope is not None and place not in hopeless]
        answers = iter(await self._send(sent) if sent else [])
        results = [
            hopeless[place]
            if place in hopeless
            else _unchanged(one)
            if one.envelope is None
            else self._result(one.wish, one.envelope, next(answers))
            for place, one in enumerate(bound)
        ]
        if any(one.position is not None for one in results):
            results = await self._verdicts(results)
        if sent:
            await self._slips.strike(result.digest for result in results if result.digest is not None and is_answered(result))
        return results

    async def _hopeless(self, bound: Sequence[_Bound]) -> dict[int, Published]:
        """Return, by place, what a fresh copy calls void already. A chain refuses nobody, and somebody pays for what is void there."""
        if all(one.envelope is None for one in bound) or (await self._backend()).traits.checkpoints:
            return {}
        found = await self._void(bound)
        if found and self.refresh is not None:
            await self.refresh()
            found = await self._void(bound)
        return found

    async def _void(self, bound: Sequence[_Bound]) -> dict[int, Published]:
        known = await self._reader.store.read(
            lambda snapshot: {one.envelope for one in bound if one.envelope and snapshot.find(one.envelope.statement.digest) is not None}
        )
        judged = enumerate(await self._judge(bound))
        return {place: result for place, result in judged if result.error is not None and bound[place].envelope not in known}

    async def _verdicts(self, results: Sequence[Published]) -> list[Published]:
        """Return the results with what the fold says: a chain places whatever it is given (DESIGN 7)."""
        await self._following(max(one.index for one in results if one.index is not None))

        def work(snapshot: Snapshot) -> list[Published]:
            return [one if one.position is None else _judged(snapshot, one) for one in results]

        found = await self._reader.store.read(work)
        for one in found:
            if one.error is not None and self._sent.get(one.id) == one.digest:
                del self._sent[one.id]
        return found

    async def _following(self, index: int) -> None:
        """Bring the copy up to an entry. An agent that keeps it may have begun its step before."""
        for _ in range(LOOKS):
            if self.refresh is not None:
                await self.refresh()
            if await self._reader.store.read(lambda snapshot: snapshot.head().size) > index:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _send(self, envelopes: Sequence[Envelope]) -> Sequence[Placed | Refused]:
        backend = await self._backend()
        await self._slips.note(envelopes)
        try:
            return await backend.append([envelope.entry for envelope in envelopes])
        except OutcomeUnknown:
            raise
        except (UnavailableError, *REFUSALS):  # it did not arrive, or was refused as a whole
            await self._slips.strike(envelope.statement.digest for envelope in envelopes)
            raise

    def _result(self, wish: Wish, envelope: Envelope, answer: Placed | Refused) -> Published:
        digest = envelope.statement.digest
        if not isinstance(answer, Placed):
            return Published(wish.id, wish.kind, "refused", digest, error=answer.error)
        try:
            self._receipts.check(answer, envelope)
        except LedgerError as error:
            return Published(wish.id, wish.kind, "refused", digest, answer.index, error=error)
        self._sent[wish.id] = digest
        return Published(wish.id, wish.kind, "published", digest, answer.index, answer.receipt, answer.position)

    async def _judge(self, bound: Sequence[_Bound]) -> list[Published]:
        """Judge the statements against the local copy, each after those before it; nothing is sent."""

        def work(snapshot: Snapshot) -> list[Published]:
            view = OverlayState(snapshot.state())
            index = snapshot.head().size
            return [
                _unchanged(one) if one.envelope is None else _dry(view, one.wish, one.envelope, index + place)
                for place, one in enumerate(bound)
            ]

        return await self._reader.store.read(work)


def _judged(snapshot: Snapshot, result: Published) -> Published:
    """Return a result with the verdict of the copy: the statement is in force from its first index that is not void."""
    first = snapshot.find(result.digest or "")
    if first is None or result.index is None:
        error: LedgerError = OutcomeUnknown("the copy does not show it yet", operation=result.digest or "")
        return replace(result, result="refused", error=error)
    for index in dict.fromkeys((first, result.index)):
        if snapshot.void(index) is None:
            return replace(result, index=index, position=result.position if index == result.index else None)
    void = snapshot.void(result.index)
    reason = "it is void" if void is None else void.reason
    return replace(result, result="refused", error=(ConflictError if void is None else error_class(void.code))(reason))


def is_answered(result: Published) -> bool:
    """Tell whether the ledger said what becomes of the statement: placed, with proof, or refused. An error of its own is no answer."""
    return result.error is None or (result.index is None and isinstance(result.error, REFUSALS))


def _dry(view: OverlayState, wish: Wish, envelope: Envelope, index: int) -> Published:
    verdict = judge(view, envelope, index)
    digest = envelope.statement.digest
    if isinstance(verdict, Accepted):
        view.apply(verdict)
        return Published(wish.id, wish.kind, "checked", digest)
    return Published(wish.id, wish.kind, "refused", digest, error=verdict.error())


def _unchanged(bound: _Bound) -> Published:
    record = bound.unchanged
    if record is None:
        raise FormatError("nothing to publish")
    return Published(record.id, record.kind, "unchanged", record.digest, record.index)


def stands(wish: Wish, record: Record) -> bool:
    """Tell whether the wish is fulfilled already: by equal JCS bytes (FORMATS 1)."""
    if wish.op == "drop":
        return not record.live
    return wish.op == "put" and record.live and record.kind == wish.kind and encode(wish.body) == encode(record.body)


def _outrun(result: Published | None, manner: Manner) -> bool:
    """Tell whether another version came first and the author did not ask for a certain one."""
    return result is not None and manner.expect is None and manner.basis is None and isinstance(result.error, VersionMismatchError)


def patched(record: Record | None, policy_id: str, change: JSONObject) -> Wish:
    """Return the wish for a merge patch. NotFoundError when the policy is not live."""
    if record is None or not record.live:
        advice = f"See `ledger-cli history {policy_id}`." if record is not None else NotFoundError.advice
        raise NotFoundError(f"no live policy {policy_id}", advice=advice)
    return Wish("patch", record.kind, policy_id, change)


def dropped(record: Record | None, policy_id: str) -> Wish:
    """Return the wish to take a policy out of force. NotFoundError for an id that was never accepted."""
    if record is None:
        raise NotFoundError(f"no policy {policy_id}")
    return Wish("drop", record.kind, policy_id, None)
