"""Where the master is: a home follows it to another address by the network's `master` policy (docs/concepts.md, A master that moves).

A policy only says where to look. What is found there must be the same server of the same log: the name that this home pinned, under
the CA that it pinned, with a checkpoint that is good by the roots of its replica and not of a smaller tree. The settings stay as they
are; `moved.json` in the home says what they lead to now.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ledger.client.evidence import keep_evidence
from ledger.client.https import HttpsBackend
from ledger.client.transport import Transport
from ledger.core.canonical import format_time
from ledger.core.errors import CorruptError, LedgerError, NotFoundError, UnreachableError
from ledger.core.rights import Change, is_covered, rights_of
from ledger.core.statement import ROOT
from ledger.core.trust import BadNote, BadSource, Behind, Current, Fetch, NeedRoot, Rollback, SplitView, TrustState, judge_note, judge_root
from ledger.engine.replica import TRUST, StoredView
from ledger.engine.store import Store
from ledger.home.files import read_text, write_file
from ledger.home.url import other_place_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.client.place import Place
    from ledger.core.state import Record, StateView
    from ledger.core.trust import Judged, Verdict
    from ledger.engine.snapshot import Snapshot
    from ledger.home.home import Home

T = TypeVar("T")

KIND = "master"
MOST_ROOTS = 100


@dataclass(frozen=True, slots=True)
class Named:
    """What a `master` policy that counts says: the master is at `url`, since the entry `index`."""

    policy: str
    index: int
    url: str


@dataclass(frozen=True, slots=True)
class Moved:
    """What was followed: who is sent to one of the `former` URLs finds the master at `url`, by the version of `policy` at `index`."""

    former: tuple[str, ...]
    url: str
    policy: str
    index: int
    time: int

    @classmethod
    def from_json(cls, content: dict[str, object]) -> Moved:
        """Return what the file says. ValueError for another form."""
        match content:
            case {"former": [*former], "url": str(url), "policy": str(policy), "index": int(index), "time": int(time)}:
                return cls(tuple(str(one) for one in former), url, policy, index, time)
            case _:
                raise ValueError("a member is missing, or of another type")


def read_moved(home: Home, ledger: str | None) -> Moved | None:
    """Return where the master of the ledger URL in the settings is now, None where it always was (blocking).

    A URL that no move led from counts as it is: the operator set another one. CorruptError for a file that nobody wrote so.
    """
    try:
        moved = Moved.from_json(json.loads(read_text(home.moved_file)))
    except NotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise CorruptError(f"{home.moved_file} does not say where the master is", advice="Delete it: the policy is asked again.") from error
    return moved if ledger in (*moved.former, moved.url) else None


def named_places(view: StateView) -> Iterator[Named]:
    """Yield what the live `master` policies say that count, newest version first. Those of ordinary members are no news of the network."""
    for record in sorted(view.of_kind(KIND), key=lambda one: one.index, reverse=True):
        url = record.content.get("url")
        if isinstance(url, str) and speaks_for_master(view, record):
            yield Named(record.id, record.index, url.rstrip("/"))


def speaks_for_master(view: StateView, record: Record) -> bool:
    """Tell whether who wrote this version may say where the master is: root, or a member who may rewrite whatever root says of it."""
    if record.by == ROOT:
        return True
    bound = view.key(record.by)
    member = None if bound is None else view.record(bound.id)
    if member is None or not member.live or member.kind != "member":
        return False
    change = Change("put", KIND, record.id, replace(record, owner=ROOT, body={}), {})  # so no right within a scope covers it
    return is_covered(rights_of(view, member), change, member.id)


class Moving:
    """Follows the master of one home. `told` hears of each move."""

    def __init__(self, place: Place, told: Callable[[Moved], None] | None = None) -> None:
        self._place = place
        self._told = told
        self._turn = asyncio.Lock()

    def facts(self) -> dict[str, object] | None:
        """Return the move that this home followed, as `status` shows it; None when the master is where it always was (blocking)."""
        moved = read_moved(self._place.home, self._place.settings.ledger)
        return None if moved is None else {**asdict(moved), "time": format_time(moved.time)}

    async def newest(self) -> int:
        """Return the index of the newest policy that counts, -1 when there is none."""
        named = await self._named()
        return -1 if named is None else named.index

    async def find(self, present: str, since: int = -1) -> str | None:
        """Return where the master is when it is not at `present`, and remember it; None when nothing newer than `since` says so.

        UnreachableError when a policy that counts names a place that is not followed, with the reason.
        """
        async with self._turn:
            return await self._find(present, since)

    async def _find(self, present: str, since: int) -> str | None:
        moved = await asyncio.to_thread(read_moved, self._place.home, self._place.settings.ledger)
        if moved is not None and moved.url != present:
            return moved.url  # another part of this home was there first
        named = await self._named()
        if named is None or named.url == present or named.index <= max(since, -1 if moved is None else moved.index):
            return None
        problem = other_place_problem(named.url, present) or await self._problem(named.url)
        if problem is not None:
            raise UnreachableError(
                f"the policy {named.policy} says that the master is at {named.url}, which is not followed: {problem}",
                advice="If the master did move there, set `ledger` in config.toml; if not, tell the network's admins.",
            )
        former = dict.fromkeys((*(() if moved is None else moved.former), self._place.settings.ledger or present, present))
        found = Moved(tuple(former), named.url, named.policy, named.index, int(self._place.clock.now()))
        await asyncio.to_thread(write_file, self._place.home.moved_file, json.dumps(asdict(found)).encode())
        if self._told is not None:
            self._told(found)
        return named.url

    async def _problem(self, url: str) -> str | None:
        """Return why what is found at `url` is not followed, None when it is the master of this log. What proves a lie is kept."""
        expected = self._place.settings.server
        if expected is None:
            return "this home has not pinned the name of its server"
        try:
            async with Transport(url, context=await asyncio.to_thread(self._place.tls), expected=expected) as transport:
                transport.follow = partial(self._place.follow_ca, url)
                held = (await self._read(lambda snapshot: snapshot.head())).size
                verdict = await self._judge(HttpsBackend(transport), url)
        except LedgerError as error:
            return error.message
        if isinstance(verdict, SplitView | Rollback):
            path = await asyncio.to_thread(keep_evidence, self._place.home.evidence, verdict.alarm.name, verdict.alarm.evidence)
            return f"{verdict.alarm.evidence.reason}, see {path}"
        return _reason(verdict, held)

    async def _judge(self, source: HttpsBackend, url: str) -> Verdict:
        """Return the verdict on the checkpoint that the server shows, before any entry is fetched."""
        now, note = int(self._place.clock.now()), (await source.head()).checkpoint or b""
        network = self._place.network
        judged = await self._read(lambda one: judge_note(_trust(one, network), StoredView(one), note, url, now))
        for _ in range(MOST_ROOTS):
            if not isinstance(judged.verdict, NeedRoot):
                break
            raw = await source.roots(judged.verdict.version)
            judged = await self._read(partial(_with_root, judged.state, judged.verdict, raw, now))
        return judged.verdict

    async def _named(self) -> Named | None:
        try:
            return await self._read(lambda snapshot: next(named_places(snapshot.state()), None))
        except NotFoundError:  # this home never synced
            return None

    async def _read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on the home's replica; the process that writes it may be another one."""
        store = await asyncio.to_thread(partial(Store.open, self._place.home.database, writable=False))
        try:
            return await store.read(work)
        finally:
            await asyncio.to_thread(store.close)


def _trust(snapshot: Snapshot, network: str) -> TrustState:
    text = snapshot.meta(TRUST)
    return TrustState(network) if text is None else TrustState.from_json(str(text))


def _with_root(state: TrustState, step: NeedRoot, raw: bytes | None, now: int, snapshot: Snapshot) -> Judged:
    return judge_root(state, StoredView(snapshot), step, raw, now)


def _reason(verdict: Verdict, held: int) -> str | None:
    """Return why a server that shows this is not followed, None when it may be."""
    match verdict:
        case Current() | Fetch():
            return None
        case Behind(size=size):
            return f"it has {size} entries of the {held} that this home holds"
        case BadNote(reason=reason):
            return f"it does not show this log: {reason}"
        case BadSource(evidence=evidence):
            return f"it does not show this log: {evidence.reason}"
        case _:
            return "it shows more roots than can be true"
