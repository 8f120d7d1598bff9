"""Peers of a network through the bridge, as tests use them: short deadlines, whole transactions, and the patience of a writer."""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from blockchain_adapters.hyperledger.peer import Peer, Profile
from ledger.core.errors import NotReadyError, OutcomeUnknown, UnavailableError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blockchain_adapters.hyperledger.bridge import Bridge
    from blockchain_adapters.hyperledger.peer import Committed, Endorsed
    from tests.support.fabric.shape import FabricNetwork

T = TypeVar("T")
UNDER_WAY = 12
FROZEN_SECONDS = 1.5  # longer than a hasty call waits
WAIT = 30.0  # seconds for a block, on a busy machine
PASSES = (UnreachableError, UnavailableError, NotReadyError, OutcomeUnknown)  # what may be over soon


@dataclass(frozen=True, slots=True)
class Hasty(Profile):
    """A profile whose calls are given up after a time in milliseconds."""

    deadline_ms: int = 1_000

    def fields(self) -> dict[str, Any]:
        """Return the members of an `open` request."""
        deadlines = dict.fromkeys(("evaluate_ms", "endorse_ms", "submit_ms"), self.deadline_ms)
        return {**Profile.fields(self), **deadlines}


def hasty_peer(bridge: Bridge, profile: Profile) -> Peer:
    """Return a peer whose calls are given up soon."""
    return Peer(bridge, Hasty(**{one.name: getattr(profile, one.name) for one in fields(Profile)}))


async def until(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call answers, once it does."""
    while True:
        with suppress(*PASSES):
            return await call()
        await asyncio.sleep(0.05)


async def append(peer: Peer, batch: bytes) -> Committed:
    """Append a batch; return where it stands."""
    return await settled(peer, await peer.endorse("Append", batch))


async def settled(peer: Peer, endorsed: Endorsed) -> Committed:
    """Send a transaction and wait for its block."""
    await peer.submit(endorsed)
    found = await peer.committed(endorsed.transaction, WAIT)
    assert found is not None, "no block in time"
    return found


async def carried(peer: Peer, endorsed: Endorsed) -> Committed:
    """Bring a transaction into a block whatever happens: the same ticket, again and again, and never another."""

    async def once() -> Committed:
        found = await peer.committed(endorsed.transaction, 0.2)
        if found is not None:
            return found
        await peer.submit(endorsed)
        found = await peer.committed(endorsed.transaction, 5.0)
        if found is None:
            raise OutcomeUnknown("no block yet", operation=endorsed.transaction)
        return found

    return await until(once)


async def holders(peer: Peer, batch: bytes) -> list[str]:
    """Return the transactions that appended a batch, once the chaincode answers."""
    listed: list[str] = json.loads(await until(lambda: peer.evaluate("Find", hashlib.sha256(batch).digest())))
    return listed


async def strike_while_writing(network: FabricNetwork, hasty: Peer, part: str, way: str) -> None:
    """Kill or freeze a part while transactions are under way, and let it come back; then each of them stands once."""
    batches = [b"batch %d" % number for number in range(UNDER_WAY)]

    async def write(batch: bytes) -> str:
        # What was endorsed and never sent is in no block, ever: only a ticket that may have left is kept.
        endorsed = await until(lambda: hasty.endorse("Append", batch))
        return (await carried(hasty, endorsed)).transaction

    writing = [asyncio.create_task(write(one)) for one in batches]
    await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
    if way == "killed":
        network.kill(part)
        await network.start(part)
    else:
        network.freeze(part)
        await asyncio.sleep(FROZEN_SECONDS)
        network.thaw(part)
    placed = await asyncio.gather(*writing)
    for batch, transaction in zip(batches, placed, strict=True):
        assert await holders(hasty, batch) == [transaction]
