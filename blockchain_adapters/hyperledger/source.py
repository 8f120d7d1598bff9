"""The channel of a ledger URL, read into the file of a home: `chainbackend.Source`, over several peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from blockchain_adapters.chainfile import AGREED, read_cursor
from blockchain_adapters.follow import Follower, agree
from blockchain_adapters.hyperledger.chain import FabricChain, read_blocks
from blockchain_adapters.hyperledger.peer import Peer
from blockchain_adapters.hyperledger.witness import FabricWitness
from blockchain_adapters.providers import Provider, ask_first
from ledger.core.errors import BadSourceError, BusyError, ConflictError, FormatError, NotFoundError, UnreachableError
from ledger.core.trust.providers import ChainState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import apsw

    from blockchain_adapters.chainfile import ChainFile
    from blockchain_adapters.follow import Enough, Progress
    from blockchain_adapters.hyperledger.bridge import Bridge
    from blockchain_adapters.hyperledger.peer import Profile
    from ledger.core.canonical import JSON
    from ledger.core.ports import Clock

GENESIS: Final = "genesis"
RACES: Final = 5
FAILURES: Final = (UnreachableError, BusyError, BadSourceError, FormatError, NotFoundError)

Answer = TypeVar("Answer")


class FabricProvider(Provider):
    """One peer: what follows it, and what compares it. `genesis` is the hash of the channel's first block there, once it was asked."""

    def __init__(self, bridge: Bridge, profile: Profile, source: FabricSource) -> None:
        super().__init__(profile.peer)
        self.peer = Peer(bridge, profile)
        self.witness = FabricWitness(self.peer, source.kept, source.clock, source.known)
        self.chain = FabricChain(self.peer, source.kept, self.witness)
        self.genesis: str | None = None

    @property
    def requests(self) -> int:
        """Return how many calls were made."""
        return self.peer.requests

    @property
    def received(self) -> int:
        """Return how many bytes of batches came."""
        return self.peer.received


class FabricSource:
    """One chaincode of one channel, read from the first peer that is good. `open` it."""

    compares = False
    settles = True

    def __init__(self, bridge: Bridge, profiles: Sequence[Profile], kept: ChainFile, clock: Clock) -> None:
        """Read through `bridge`, which the source closes, from the peers of `profiles`, the first of which is preferred."""
        self.kept = kept
        self.clock = clock
        self.channel, self.chaincode, self.msp = profiles[0].channel, profiles[0].chaincode, profiles[0].msp
        self.here: dict[str, JSON] = {}
        self.bridge = bridge
        self._follower = Follower(kept)
        self._genesis: str | None = None
        self.peers = tuple(FabricProvider(bridge, one, self) for one in profiles)

    async def open(self, expected: str | None = None) -> None:
        """Learn which channel this is: as `expected`, from the file, else from the peers. Raises what keeps all of them from answering."""
        self._genesis = await self.kept.fact(GENESIS) or expected
        if self._genesis is None:
            self._genesis = await self.ask(_genesis)
            await self.kept.note(GENESIS, self._genesis)
        self.here = {"type": "hyperledger", "channel": self.channel, "genesis": self._genesis, "chaincode": self.chaincode}

    async def ask(self, question: Callable[[FabricProvider], Awaitable[Answer]]) -> Answer:
        """Return what `question` gets from the first peer that answers it; a peer of another channel is none."""

        async def admitted(provider: FabricProvider) -> Answer:
            if await _genesis(provider) != (self._genesis or provider.genesis):
                raise BadSourceError(f"{provider.name}: its channel {self.channel} begins with another block", advice="Compare the peers.")
            return await question(provider)

        return await ask_first(self.peers, admitted, FAILURES)

    @property
    def target(self) -> str:
        """Return what the operations that go there are filed under in a journal."""
        return f"hyperledger:{self.channel}:{self.here['genesis']}:{self.chaincode}"

    @property
    def requests(self) -> int:
        """See Source."""
        return sum(one.requests for one in self.peers)

    @property
    def received(self) -> int:
        """See Source."""
        return sum(one.received for one in self.peers)

    async def poll(self, progress: Progress | None = None, enough: Enough | None = None) -> None:
        """See Source; no more than `enough`."""
        first = await self.height()
        while True:
            newest, height = await self._step(enough)
            if progress is not None:
                progress(height - first, max(height, newest) - first)
            if newest <= height or (enough is not None and await enough()):
                break
        await self._agree()

    async def _step(self, enough: Enough | None) -> tuple[int, int]:
        """Take a page of blocks; return the newest block of the peer that gave it, and the newest one that is kept."""

        async def step(provider: FabricProvider) -> tuple[int, int]:
            found = await self._follower.step(provider.chain, enough=enough)
            return provider.chain.newest, found.cursor.heads.tip.height

        attempt = 0
        while True:
            attempt += 1
            try:
                return await self.ask(step)
            except ConflictError:
                if attempt == RACES:
                    raise

    async def _agree(self) -> None:
        """Compare what the peers show (FORMATS 11)."""
        before = await self.known()
        after = await agree(before, [one.witness for one in self.peers], int(self.clock.now()))
        if after != before:
            await self.kept.note(AGREED, after.to_json())

    async def known(self) -> ChainState:
        """See Source."""
        stored = await self.kept.fact(AGREED)
        return ChainState() if stored is None else ChainState.from_json(stored)

    async def is_final(self, transaction: str) -> bool:
        """Tell whether a transaction stands in a block on which the peers agree."""
        agreed = (await self.known()).agreed
        sql = "SELECT 1 FROM batch WHERE tx=? AND block<=? AND NOT gone"
        bindings = (transaction, -1 if agreed is None else agreed.height)
        return await self.kept.read(lambda connection: connection.execute(sql, bindings).fetchone() is not None)

    async def anchors(self) -> int:
        """Return how many anchors were read: batches with a note."""
        return await self.kept.read(_count_anchors)

    async def height(self) -> int:
        """Return the newest block that is kept; -1 without one."""
        cursor = await self.kept.read(read_cursor)
        return -1 if cursor is None else cursor.heads.tip.height

    def providers(self) -> list[dict[str, object]]:
        """See Source."""
        return [{"provider": one.name, "error": one.error, "requests": one.requests, "bytes": one.received} for one in self.peers]

    async def close(self) -> None:
        """See Source."""
        await self.bridge.close()
        await self.kept.close()


async def _genesis(provider: FabricProvider) -> str:
    """Return the hash of the channel's first block at a peer, asked once."""
    if provider.genesis is None:
        [block] = await read_blocks(provider.peer, 0, 0, digests=True)
        provider.genesis = block.hash.hex()
    return provider.genesis


def _count_anchors(connection: apsw.Connection) -> int:
    [(count,)] = connection.execute("SELECT count(*) FROM batch WHERE NOT gone AND length(note)>0")
    return int(count)


__all__ = ["FabricProvider", "FabricSource"]
