"""How fast a channel's log is read and verified: from whole blocks, their hashes computed, to entries whose signatures hold."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NoReturn

from blockchain_adapters.codec import encode
from blockchain_adapters.directbackend import DirectBackend
from tests.bench.chain_reading import read_and_verify
from tests.bench.figures import Bound, Figure
from tests.support.fabric.peers import append
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from tests.bench.figures import Report
    from tests.support.channel import Bench

LEAST_RATE = 20_000  # policies a second, read and verified
AMOUNT = 20_000
BATCH = 500
ROUNDS = 3


async def measure_reading(report: Report, bench: Bench) -> None:
    """Add the rates of reading, and of reading and verifying, each from nothing."""
    source = await bench.source()
    network = SmallNetwork(order=source.here)
    peer = source.peers[0].peer
    things = [one.entry for one in network.things(AMOUNT)]
    await append(peer, encode([one.entry for one in network.first]))
    for start in range(0, AMOUNT, BATCH):
        await append(peer, encode(things[start : start + BATCH]))
    taken = []
    for _ in range(ROUNDS):
        fresh = await bench.source()
        await fresh.ask(lambda provider: provider.peer.height())  # the bridge is up
        taken.append(await read_and_verify(fresh.open, DirectBackend(fresh, network.id, _no_writer)))
    read, verified, computed = (statistics.median(one[place] for one in taken) for place in range(3))
    remark = f"{AMOUNT:,} entries in batches of {BATCH}, from the channel's first block"
    report.add(Figure("reading a channel", AMOUNT / read, "entries/s", remark=remark))
    bound = Bound(least=LEAST_RATE, of_value=True)
    report.add(Figure("reading and verifying", AMOUNT / verified, "entries/s", remark="signatures on threads", bound=bound))
    report.add(Figure("reading and verifying, an entry", 1e6 * computed / AMOUNT, "µs CPU", remark="of this process, all threads"))


async def _no_writer() -> NoReturn:
    raise AssertionError("nothing is written here")
