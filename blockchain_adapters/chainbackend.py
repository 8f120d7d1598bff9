"""A log on a chain behind the Backend port: what one that the chain orders (direct) and one that it mirrors share.

Both read one file, which a `Source` keeps up with the chain. Whatever the chain: the adapter gives the source, and for direct logs the
submitter.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from blockchain_adapters import direct, mirror
from blockchain_adapters.chainfile import AGREED, tip_hash
from ledger.core.errors import NotReadyError
from ledger.core.trust.providers import end_chain_alarm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import apsw

    from blockchain_adapters.chainfile import ChainFile
    from blockchain_adapters.direct import Order
    from blockchain_adapters.follow import Enough, Progress
    from ledger.core.canonical import JSON
    from ledger.core.trust.providers import ChainState
    from ledger.core.trust.roots import PlacedRoot

POLL_SECONDS = 2.0
MOST_WAIT_SECONDS = 60.0


class Source(Protocol):
    """What keeps the file of one contract up with its chain."""

    @property
    def kept(self) -> ChainFile:
        """Return the file."""
        ...

    @property
    def here(self) -> Mapping[str, JSON]:
        """Return the order that names this chain and contract."""
        ...

    @property
    def compares(self) -> bool:
        """Tell whether the contract can be told to append only after so many batches."""
        ...

    @property
    def settles(self) -> bool:
        """Tell whether what stands in a block will not go."""
        ...

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        ...

    @property
    def received(self) -> int:
        """Return how many bytes came."""
        ...

    async def poll(self, progress: Progress | None = None, enough: Enough | None = None) -> None:
        """Read what is new, no more once `enough` says so. Raises domain errors; what was read stays."""
        ...

    async def known(self) -> ChainState:
        """Return what the providers agree on."""
        ...

    def providers(self) -> Sequence[Mapping[str, object]]:
        """Return how each provider is, for people."""
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...


class ChainBackend:
    """What both kinds share."""

    def __init__(self, source: Source, network: str, *, roots: Sequence[PlacedRoot] = (), poll_seconds: float = POLL_SECONDS) -> None:
        """Read the log of `network` from `source`. `roots` are those that the caller verified elsewhere."""
        self.source = source
        self.network = network
        self._kept = source.kept
        self._known = tuple(roots)
        self._poll_seconds = poll_seconds
        self._stirred = asyncio.Event()
        self._ordered: tuple[tuple[str | None, int], Order | None] | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        return self.source.requests

    @property
    def received(self) -> int:
        """Return how many bytes of answers came."""
        return self.source.received

    async def catch_up(self, progress: Progress | None = None) -> None:
        """Read the chain up to its end; `progress` hears of blocks."""
        self._check_open()
        async with self._turn:
            await self.source.poll(progress)
        self._stirred.set()

    async def close(self) -> None:
        """See Backend."""
        if not self._closed:
            self._closed = True
            await self.source.close()

    async def forget(self, words: str, now: int) -> None:
        """Forget what was read and agreed on, after an alarm that an operator ends in these words; they are kept. Close it afterwards."""
        self._check_open()
        async with self._turn:
            known = await self.source.known()
            after = replace(known, agreed=None) if known.alarm is None else end_chain_alarm(known, words, now, forget=True)
            await self._kept.forget()
            await self._kept.note(AGREED, after.to_json())

    async def order(self) -> Order | None:
        """Return the log that the contract orders, None when it orders none of this network."""
        return await self._kept.read(self._find_order)

    def _find_order(self, connection: apsw.Connection) -> Order | None:
        """Find the order, again only when something came: looking at roots costs signatures."""
        state = (tip_hash(connection), mirror.read_whole(connection).tree.size)
        if self._ordered is None or self._ordered[0] != state:
            self._ordered = (state, direct.find_order(connection, self.network, self.source.here, self._known))
        return self._ordered[1]

    def providers(self) -> Sequence[Mapping[str, object]]:
        """Return how each provider is, for `status`."""
        return self.source.providers()

    def _check_open(self) -> None:
        if self._closed:
            raise NotReadyError("the ledger is closed", advice="Open it again.")

    async def _pause(self, failures: int) -> None:
        """Wait until something stirs or the next poll is due; longer after failures."""
        wait = min(MOST_WAIT_SECONDS, self._poll_seconds * 2 ** min(failures, 10))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):  # `wait_for` of Python 3.11 may lose a cancellation
                await self._stirred.wait()
        self._stirred.clear()
