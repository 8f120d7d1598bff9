"""What an honest master never logs, looked for off the hot path: void entries, and marks whose state root is not the state's.

Neither stops anything, nor makes an entry void (FORMATS 8): it is told and kept as evidence. Every entry was judged before it
was committed; this reads verdicts and recomputes states behind the replica, in a reader thread, from where it stood when the
node last ran.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.evidence import VOID, keep_evidence
from ledger.client.marks import AUDIT, STATE_ROOT, WrongMark, read_audit, write_audit
from ledger.core.errors import ProofError
from ledger.core.limits import LIMITS
from ledger.core.trust import Evidence, Finding, Origin, TreeHash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.core.ports import Clock
    from ledger.engine.replica import Replica
    from ledger.engine.snapshot import Snapshot, StoredVoid
    from ledger.http.logs import EventLog

MOST = 16
NOTE_EVERY = 1_000
RETRY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Found:
    """What one pass found up to `size`: the newest void entries and how many, the wrong marks, and whether any state was computed."""

    size: int
    void: int
    voids: tuple[StoredVoid, ...]
    marks: tuple[WrongMark, ...]
    checked: bool


class Audit:
    """The audit of one replica. `wake` when the replica moved."""

    def __init__(self, replica: Replica, *, evidence: Path, clock: Clock, log: EventLog, note: Callable[[], bytes | None]) -> None:
        """Audit `replica`; `note` gives the newest good note of the tree that it holds."""
        self.marks: tuple[WrongMark, ...] = ()
        self.void = 0
        self.last_void: StoredVoid | None = None
        self._replica = replica
        self._evidence = evidence
        self._clock = clock
        self._log = log
        self._note = note
        self._moved = asyncio.Event()
        self._noted = 0

    def wake(self) -> None:
        """Look again soon."""
        self._moved.set()

    async def run(self) -> None:
        """Audit until cancelled. A pass that fails, since evidence cannot be written for one, is done again."""
        size: int | None = None
        said: str | None = None
        self.wake()
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                size = await self._pass(await self._begin() if size is None else size)
                said = None
            except Exception as error:  # noqa: BLE001 - whatever keeps it from looking, the agent goes on
                if str(error) != said:
                    self._log.failure("audit-failed", error)
                said = str(error)
                await asyncio.sleep(RETRY_SECONDS)
                self.wake()

    async def _begin(self) -> int:
        """Read what the node knew when it last ran; return where the first pass begins."""
        self._noted, self.marks = await self._replica.store.read(read_audit)
        self.void, self.last_void = await self._replica.store.read(_count)
        return self._noted

    async def _pass(self, start: int) -> int:
        """Look at the entries from `start` on; return where the next pass begins."""
        found = await self._replica.store.read(lambda snapshot: _look(snapshot, start))
        self.void, self.last_void = await self._replica.store.read(_count)
        if found.size == start:
            return start
        for void in found.voids:
            await self._keep_void(void)
        if found.void:
            first = found.voids[0]
            self._log.write("warning", "void-entries", count=found.void, index=first.index, code=first.code, reason=first.reason)
        for mark in found.marks:
            await self._keep_mark(mark)
        known = tuple(one for one in self.marks if one.index < min(start, found.size))
        self.marks = (*known, *found.marks)[:MOST]
        if found.void or found.checked or not 0 <= found.size - self._noted < NOTE_EVERY:
            await self._note_down(found.size)
        return found.size

    async def _note_down(self, size: int) -> None:
        """Store how far the log was looked at. Not at every entry: what is looked at twice is told once more, no worse."""
        stored = write_audit(size, self.marks)
        await self._replica.store.write(lambda transaction: transaction.put_meta(AUDIT, stored))
        self._noted = size

    async def _keep_void(self, void: StoredVoid) -> None:
        reason = f"entry {void.index} is void: {void.reason}"
        await self._keep(f"{VOID}{void.index}", (void.code, reason), void.index)

    async def _keep_mark(self, mark: WrongMark) -> None:
        hashes = TreeHash(Origin.REPLICA, mark.size, mark.computed), TreeHash(Origin.SOURCE, mark.size, mark.claimed)
        path = await self._keep(mark.name, (Finding.WRONG_STATE_ROOT, mark.reason), mark.index, hashes)
        self._log.write("error", STATE_ROOT, index=mark.index, size=mark.size, claimed=mark.claimed, computed=mark.computed, evidence=path)

    async def _keep(self, name: str, found: tuple[str, str], index: int, hashes: tuple[TreeHash, ...] = ()) -> str:
        """Keep the entry at `index` with the note under which it stands."""
        note = self._note()
        receipts: tuple[bytes, ...] = ()
        if note is not None:
            try:
                receipts = (await self._replica.receipt(index, note),)
            except ProofError:  # the replica went back meanwhile
                note = None
        notes = () if note is None else (note,)
        finding, reason = found
        evidence = Evidence(reason, "", int(self._clock.now()), notes, hashes=hashes, receipts=receipts, finding=finding)
        return str(await asyncio.to_thread(keep_evidence, self._evidence, name, evidence))


def _count(snapshot: Snapshot) -> tuple[int, StoredVoid | None]:
    """Return how many entries are void, and the last of them."""
    ((number, last),) = snapshot.connection.execute("SELECT count(*), max(idx) FROM void")
    return number, None if last is None else snapshot.void(last)


def _look(snapshot: Snapshot, start: int) -> _Found:
    """Look at what came from `start` on; at what stands there anew when the replica went back."""
    size = snapshot.head().size
    start = min(start, size)
    voids = snapshot.voids(start, most=LIMITS.page)
    records = (version.record for version in snapshot.history("mark", start))
    claims = [(record.index, record.content["state"]) for record in records if record.live]
    wrong: list[WrongMark] = []
    for index, claim in claims:
        if isinstance(claim, dict) and isinstance(claim["size"], int):
            computed = snapshot.state(claim["size"]).state_root()
            if computed != claim["root"] and len(wrong) < MOST:
                wrong.append(WrongMark(index, claim["size"], str(claim["root"]), computed))
    checked = any(claim is not None for _, claim in claims)
    return _Found(size, len(voids), tuple(voids[-MOST:]), tuple(wrong), checked)
