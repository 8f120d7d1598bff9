"""The fork guard: a database that is older than what left this home must not be signed on (DESIGN 5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.core.errors import CorruptError, ForkRiskError, UsageError
from ledger.core.fold import present_root
from ledger.core.merkle import tree_root
from ledger.engine.headfile import HeadFile, LeftHead

if TYPE_CHECKING:
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store
    from ledger.engine.transaction import Transaction

RESTORED = "restored"
CONTINUED = "continued"  # a root continues this log: what head.json says is of the branch that was lost, until it is written anew


class ForkGuard:
    """Decides at start whether this home may sign. A plain restart may; a restored, a newer or a missing head file may not."""

    def __init__(self, store: Store, file: HeadFile) -> None:
        self._store = store
        self.file = file
        self.risk: str | None = None
        self._turn = asyncio.Lock()

    async def check(self) -> None:
        """Look at the database and the head file. A risk found is written down, so that a restart does not forget it."""
        try:
            left = await asyncio.to_thread(self.file.read)
        except CorruptError as error:
            self.risk = error.message
        else:
            self.risk = await self._store.read(lambda snapshot: find_risk(snapshot, left))
        if self.risk is not None:
            await self._write_down(self.risk)

    async def alarm(self, reason: str, name: str, clock: int, origin: str | None = None) -> None:
        """Sign nothing more, also after a restart: something proves that more left this log than it holds.

        `clock`: the newest time that is known to have left, kept as the fact `name`. `origin`: that of the root under which the proof was
        judged; when a root with `continues` has been placed since, it proves nothing of the log that goes on, and the alarm is dropped.
        It holds in memory even if it cannot be written down, which raises.
        """
        async with self._turn:
            before = self.risk
            self.risk = before or reason
            if not await self._write_down(reason, name, clock, origin):
                self.risk = before

    async def _write_down(self, reason: str, name: str = "", clock: int = 0, origin: str | None = None) -> bool:
        """Tell whether it was: not when it is of another origin. The first reason stands."""

        def work(transaction: Transaction) -> bool:
            if origin is not None and origin != origin_of(transaction):
                return False
            transaction.put_meta(RESTORED, flag_of(transaction) or reason)
            if clock > int(transaction.meta(name) or 0):
                transaction.put_meta(name, clock)
            return True

        return await self._store.write(work)

    def refuse(self) -> None:
        """Raise ForkRiskError when this home may not sign."""
        if self.risk is not None:
            raise self.error()

    def error(self) -> ForkRiskError:
        """Return the error that says why nothing is signed."""
        return ForkRiskError(
            f"signing on could fork the log: {self.risk}",
            advice="Bring the missing entries back from nodes or mirrors; else --accept-fork-risk SIZE, or create root --continue.",
        )

    async def end(self) -> None:
        """Take back the risk that a root with `continues` ended. An alarm of the log that goes on, raised since it was placed, stands."""
        async with self._turn:
            self.risk = await self._store.read(flag_of)

    async def continued(self) -> None:
        """Forget that a root with `continues` ended a risk: `head.json` is of the order that goes on."""
        if await self._store.read(lambda snapshot: snapshot.meta(CONTINUED)) is not None:
            await self._store.write(lambda transaction: transaction.put_meta(CONTINUED, None))

    async def accept(self, size: int) -> None:
        """Take the log as it is, at `size` entries, for the newest there is: an operator says so. UsageError for another size."""
        head = await self._store.read(lambda snapshot: snapshot.head())
        if head.size != size:
            raise UsageError(f"the log has {head.size} entries, not {size}")
        await asyncio.to_thread(self.file.write, LeftHead(head.size, head.root))
        await self._store.write(lambda transaction: transaction.put_meta(RESTORED, None))
        self.risk = None


def flag_of(snapshot: Snapshot) -> str | None:
    """Return the risk that is written down, None when there is none."""
    flag = snapshot.meta(RESTORED)
    return None if flag is None else str(flag)


def origin_of(snapshot: Snapshot) -> str | None:
    """Return the origin of the root in force, None before there is one."""
    root = present_root(snapshot.state())
    return None if root is None else root.origin


def find_risk(snapshot: Snapshot, left: LeftHead | None) -> str | None:
    """Return why signing on from this database could fork the log, None when it cannot."""
    flag = flag_of(snapshot)
    if flag is not None:
        return flag
    if snapshot.meta(CONTINUED) is not None:
        return None
    head = snapshot.head()
    if left is None:
        return None if head.size == 0 else "head.json is missing, so nothing says which tree left this home last"
    if left.size > head.size:
        return f"head.json says that {left.size} entries left this home; the database has {head.size}"
    if left.size and tree_root(left.size, snapshot) != left.root:
        return f"head.json says that another tree of {left.size} entries left this home"
    return None
