"""Reading a channel from a peer that plays its part from a script: what does not hang together is refused, what stopped goes on."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.hyperledger import chain
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.peer import Event, PeerBlock, Profile
from blockchain_adapters.hyperledger.record import EVENT
from blockchain_adapters.hyperledger.source import FabricSource
from ledger.core.errors import BadSourceError, UnreachableError
from tests.support.small_network import TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PAGE = 3
BLOCKS = 11
PROFILE = Profile("peer:1", "Org1MSP", "CERT", "KEY", "CA", "ledger", "metaledger")
Blocks = list[PeerBlock]


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def channel(before: Blocks, count: int, name: str = "good") -> Blocks:
    """Return `before` and the blocks that follow, up to `count`; the transactions in each are named for `name`."""
    blocks = list(before)
    for number in range(len(before), count):
        events = (Event(digest(f"{name} {number}").hex(), EVENT, f"record {name} {number}".encode()),)
        previous = blocks[-1].hash if blocks else b""
        blocks.append(PeerBlock(number, previous, digest(f"content {name} {number}"), events))
    return blocks


GOOD = channel([], BLOCKS)


class ScriptedBridge(Bridge):
    """Answers for one peer, which has `blocks`. The call of number `breaks` gets no answer, nor does any after it."""

    def __init__(self, blocks: Blocks, *, newest: bytes | None = None, breaks: int | None = None) -> None:
        super().__init__(Path("java"), Path("bridge.jar"))
        self._blocks = blocks
        self._newest = blocks[-1].hash if newest is None else newest
        self._breaks = breaks
        self.calls = 0
        self.shown: list[int] = []

    async def start(self) -> int:
        return 1

    async def ask(self, method: str, fields: dict[str, Any], *, wait: float = 0.0, generation: int | None = None) -> dict[str, Any]:
        self.calls += 1
        if self._breaks is not None and self.calls >= self._breaks:
            raise UnreachableError("the reader is stopped here")
        if method == "open":
            return {"connection": "1"}
        if method == "height":
            return {"height": BLOCKS, "hash": base64.b64encode(self._newest).decode()}
        assert method == "blocks"
        return {"blocks": [self._show(one, digests=fields["digests"]) for one in self._blocks[fields["block"] :][: fields["limit"]]]}

    def _show(self, block: PeerBlock, *, digests: bool) -> dict[str, Any]:
        if not digests:
            self.shown.append(block.number)
        name, form = ("digest", lambda text: hashlib.sha256(text).digest()) if digests else ("payload", bytes)
        events = [{"tx_id": one.transaction, "name": one.name, name: base64.b64encode(form(one.payload)).decode()} for one in block.events]
        texts = {"previous": base64.b64encode(block.previous).decode(), "data": base64.b64encode(block.content).decode()}
        return {"number": block.number, **texts, "events": events}


@asynccontextmanager
async def reading(path: Path, bridge: ScriptedBridge) -> AsyncIterator[FabricSource]:
    """Open what reads the channel into the file at `path`."""
    source = FabricSource(bridge, [PROFILE], await asyncio.to_thread(ChainFile.open, path), TurnedClock())
    try:
        await source.open(GOOD[0].hash.hex())
        yield source
    finally:
        await source.close()


async def kept(source: FabricSource) -> list[tuple[Any, ...]]:
    """Return every batch that is kept, with its number and its mark."""
    sql = "SELECT number, block, block_hash, tx, mark, gone FROM batch ORDER BY id"
    return await source.kept.read(lambda connection: list(connection.execute(sql)))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "PAGE", PAGE)


# -- what does not hang together -------------------------------------------------------------------------------------


def left_out(at: int) -> Blocks:
    return [*GOOD[:at], *GOOD[at + 1 :]]


def swapped(at: int) -> Blocks:
    return [*GOOD[:at], GOOD[at + 1], GOOD[at], *GOOD[at + 2 :]]


def renumbered(at: int) -> Blocks:
    """Exchange two blocks, each under the number of the other."""
    return [*GOOD[:at], replace(GOOD[at + 1], number=at), replace(GOOD[at], number=at + 1), *GOOD[at + 2 :]]


def uprooted(at: int) -> Blocks:
    """Let a block name another one before it; what follows it is chained to it."""
    return channel([*GOOD[:at], replace(GOOD[at], previous=digest("elsewhere"))], BLOCKS)


def altered(at: int) -> Blocks:
    """Let a block hold something else than what the next one names."""
    return [*GOOD[:at], replace(GOOD[at], content=digest("spoilt")), *GOOD[at + 1 :]]


def cut(at: int) -> Blocks:
    return GOOD[:at]


@pytest.mark.parametrize("at", range(1, BLOCKS - 1), ids=lambda at: f"at {at}")
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (left_out, "shows other blocks than those from"),
        (swapped, "shows other blocks than those from"),
        (renumbered, "does not follow the block before it"),
        (uprooted, "does not follow the block before it"),
        (altered, "does not follow the block before it"),
        (cut, "does not show block"),
    ],
)
async def test_blocks_that_do_not_follow_one_another_are_refused(
    tmp_path: Path, spoil: Callable[[int], Blocks], says: str, at: int
) -> None:
    bridge = ScriptedBridge(spoil(at), newest=uprooted(at)[-1].hash if spoil is uprooted else GOOD[-1].hash)
    async with reading(tmp_path / "chain.db", bridge) as source:
        with pytest.raises(BadSourceError, match=says):
            await source.poll()
        assert await source.height() <= at
        good = {(block.number, event.transaction) for block in GOOD for event in block.events}
        assert {(row[1], row[3]) for row in await kept(source)} <= good


@pytest.mark.parametrize("page", [PAGE, BLOCKS])
async def test_a_newest_block_that_is_not_the_one_named_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(chain, "PAGE", page)
    shown = altered(BLOCKS - 1)
    async with reading(tmp_path / "chain.db", ScriptedBridge(shown, newest=GOOD[-1].hash)) as source:
        with pytest.raises(BadSourceError, match="do not end with the one that it names as its newest"):
            await source.poll()
        assert await source.height() < BLOCKS - 1


async def test_a_channel_that_was_made_anew_behind_what_is_kept_is_refused(tmp_path: Path) -> None:
    async with reading(tmp_path / "chain.db", ScriptedBridge(GOOD)) as source:
        await source.poll()
        before = await kept(source)
    other = channel(GOOD[:4], BLOCKS, "other")
    async with reading(tmp_path / "chain.db", ScriptedBridge(other)) as source:
        with pytest.raises(BadSourceError):
            await source.poll()
        assert await kept(source) == before


# -- a reader that stops goes on where it was ------------------------------------------------------------------------


async def test_a_reader_that_stops_at_any_call_neither_reads_again_nor_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as whole:
        whole.setattr(chain, "PAGE", BLOCKS)
        async with reading(tmp_path / "once.db", ScriptedBridge(GOOD)) as source:
            await source.poll()
            wanted = await kept(source)
    assert [row[1] for row in wanted] == list(range(1, BLOCKS))
    stops = set()
    for number in range(2, 100):
        path = tmp_path / f"stopped-{number}.db"
        first = ScriptedBridge(GOOD, breaks=number)
        try:
            async with reading(path, first) as source:
                await source.poll()
                ended = first.calls < number
        except UnreachableError:
            ended = False
        second = ScriptedBridge(GOOD)
        async with reading(path, second) as source:
            held = await source.height()
            await source.poll()
            assert await kept(source) == wanted
        stops.add(held)
        if held < BLOCKS - 1:  # it looks once more at the block that it holds, to see that it still stands
            assert second.shown == list(range(max(held, 0), BLOCKS))
        if ended:
            break
    assert len(stops) > BLOCKS // PAGE  # it stood nowhere, within the channel after each page, and at its end
