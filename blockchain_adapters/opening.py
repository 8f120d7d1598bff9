"""Opening a log on a chain for a home, whatever the chain: which of the two kinds it is, and what brings entries onto it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from blockchain_adapters import direct, mirror
from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.submit import Submitter
from ledger.core.errors import NotFoundError
from ledger.engine.journal import Journal
from ledger.engine.signing import placed_roots
from ledger.engine.store import Store
from ledger.engine.submissions import Submissions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from blockchain_adapters.chainbackend import Source
    from blockchain_adapters.directbackend import DirectBackend
    from blockchain_adapters.submit import Pace
    from blockchain_adapters.transactions import Chain
    from ledger.core.backend import Backend
    from ledger.core.ports import Clock, Observer
    from ledger.core.trust.roots import PlacedRoot
    from ledger.engine.submissions import Submission
    from ledger.home.backends import BackendContext
    from ledger.home.home import Home


def known_roots(home: Home) -> list[PlacedRoot]:
    """Return the roots in the home's verified copy, none without one (blocking)."""
    if not home.database.exists():
        return []
    store = Store.open(home.database, writable=False)
    try:
        return store.read_now(lambda snapshot: placed_roots(snapshot.connection))
    finally:
        store.close()


async def _is_direct(source: Source, network: str, roots: Sequence[PlacedRoot]) -> bool | None:
    """Tell whether the contract orders the log of `network`, or mirrors it (False); None when it holds nothing of it yet."""
    if roots and direct.is_here(roots[-1].root.order, source.here):
        return True
    kept = source.kept

    async def decided() -> bool | None:
        if await kept.read(lambda connection: direct.find_order(connection, network, source.here, roots)) is not None:
            return True
        whole = await kept.write(lambda connection: mirror.Assembly(connection, kept.unpacked, network).run())
        return False if whole.note is not None else None

    async def enough() -> bool:
        return await decided() is not None

    if (found := await decided()) is None:
        await source.poll(enough=enough)
        found = await decided()
    return found


async def open_log(
    source: Source, context: BackendContext, network: str, direct_of: Callable[[Sequence[PlacedRoot]], DirectBackend]
) -> Backend:
    """Return the log of `network` in an open source, by `direct_of` when it is ordered there, else as a mirror.

    Raises what keeps it from being read; the source is closed then.
    """
    try:
        roots = await asyncio.to_thread(known_roots, context.home)
        if await _is_direct(source, network, roots):
            return direct_of(roots)
    except BaseException:
        await source.close()
        raise
    return MirrorBackend(source, network, roots=roots)


def pinned_network(context: BackendContext) -> str:
    """Return the network that the context's home belongs to. NotFoundError when it belongs to none."""
    if context.settings.network is None:
        raise NotFoundError(f"{context.home.path} pins no network", advice="Join a network first.")
    return context.settings.network


class HomeWriting:
    """A journal of a home, and the loop that brings what stands in it to a chain: `directbackend.Writing`."""

    def __init__(self, submitter: Submitter, journal: Journal, release: Callable[[], Awaitable[None]]) -> None:
        """`release` gives back what the chain's writer holds."""
        self.submitter = submitter
        self.journal = journal
        self._release = release
        self.submit = submitter.submit
        self.carry = submitter.carry
        self.wake = submitter.wake
        self.look = submitter.look

    @classmethod
    async def start(
        cls,
        path: Path,
        chain: tuple[Chain, str],
        world: tuple[Clock, Observer],
        release: Callable[[], Awaitable[None]],
        pace: Pace | None = None,
    ) -> Self:
        """Start the loop over the journal at `path`, made if there is none; `chain` is what it drives, and the name of the target."""
        journal = await asyncio.to_thread(_open_journal, path, world[0])
        submitter = Submitter(journal, *chain, world, pace)
        await submitter.start()
        return cls(submitter, journal, release)

    async def close(self) -> None:
        """Stop, and let others write."""
        await self.submitter.close()
        await asyncio.to_thread(self.journal.close)
        await self._release()


async def unsettled(path: Path, target: str, clock: Clock) -> list[Submission]:
    """Return what the journal at `path` sent to a target and is not final; nothing where there is no journal."""
    if not await asyncio.to_thread(path.exists):
        return []
    journal = await asyncio.to_thread(Journal.open, path, clock)
    try:
        submissions = Submissions(journal.database, target, clock)
        await submissions.prepare()
        return await submissions.unsettled()
    finally:
        await asyncio.to_thread(journal.close)


def _open_journal(path: Path, clock: Clock) -> Journal:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    return Journal.at(path, clock)


__all__ = ["HomeWriting", "known_roots", "open_log", "pinned_network", "unsettled"]
