"""A full admission queue: pushed back with 503 and a jittered Retry-After, never dropped, never forgotten; and the service goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import orjson
import pytest

from ledger.client.https import HttpsBackend
from ledger.client.place import Place
from ledger.core.backend import Placed
from ledger.core.errors import BusyError
from ledger.core.limits import LIMITS
from ledger.engine.waiting import FOR_SMALL, SMALL
from tests.faults.load import Load
from tests.support.live import LiveNetwork, environment, eventually
from tests.support.masters import LINES, running_network
from tests.support.tiers import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.masters import Network, Reply

ENTRIES = LIMITS.request_entries
HANG_SECONDS = 15.0
MINIMAL = {"Content-Type": LINES, "Prefer": "return=minimal"}


@pytest.fixture
async def network(founded: Path, tmp_path: Path) -> AsyncIterator[Network]:
    async with running_network(founded, tmp_path / "home") as network:
        yield network


@asynccontextmanager
async def hanging(network: Network) -> AsyncIterator[None]:
    """Let the signing process hang, as on a disk that does not answer."""
    os.kill(network.master.sequencer.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(network.master.sequencer.pid, signal.SIGCONT)


async def fill(network: Network, bodies: list[bytes]) -> list[asyncio.Task[Reply]]:
    """Send requests that wait; return them when the queue holds them all."""
    wanted = network.master.sequencer.waiting + sum(body.count(b"\n") for body in bodies)
    tasks = [asyncio.create_task(network.call("POST", "/v1/entries", who=network.admin, headers=MINIMAL, body=body)) for body in bodies]
    await eventually(lambda: network.master.sequencer.waiting >= wanted, f"{wanted} entries wait")
    return tasks


def lines_of(network: Network, count: int) -> bytes:
    return b"".join(network.put("site", {"name": f"bulk {number}"}).entry + b"\n" for number in range(count))


def first_lines(body: bytes, count: int) -> bytes:
    return b"".join(line + b"\n" for line in body.splitlines()[:count])


async def test_full_queue_pushes_back_and_loses_nothing(network: Network) -> None:
    await network.login(network.admin)
    full, rest = divmod(LIMITS.queue - FOR_SMALL, ENTRIES)
    bulk = await asyncio.to_thread(lines_of, network, ENTRIES)
    small = [first_lines(bulk, SMALL)] * (FOR_SMALL // SMALL)
    async with hanging(network):
        waiting = await fill(network, [bulk] * full + [first_lines(bulk, rest)])
        async with asyncio.timeout(HANG_SECONDS):  # a request that is taken hangs with the disk
            crowded = await network.call("POST", "/v1/entries", who=network.admin, headers=MINIMAL, body=bulk)
        assert crowded.status == 503  # bulk has taken all that it may; those who send a little still find room
        waiting += await fill(network, small)
        refused = await asyncio.gather(*(network.publish(network.put("site", {"name": f"late {number}"})) for number in range(20)))
        assert {(one.status, one.json["code"]) for one in refused} == {(503, "busy")}
        assert all(1 <= int(one.headers["Retry-After"]) <= 4 for one in refused)
        assert len({one.json["retry_after"] for one in refused}) > 10  # jitter: they do not come back together
        assert (await network.get("/checkpoint")).status == 200
        assert (await network.get("/readyz")).status == 200
        status = (await network.get("/v1/status", who=network.admin)).json
        assert status["waiting"] == LIMITS.queue
    answers = [reply.body.splitlines() for reply in await asyncio.gather(*waiting)]
    assert [len(lines) for lines in answers] == [ENTRIES] * full + [rest] + [SMALL] * len(small)
    places = {orjson.loads(line)["index"] for lines in answers for line in lines}
    assert len(places) == ENTRIES
    assert network.master.sequencer.waiting == 0
    assert (await network.publish(network.put("site", {"name": "late 0"}))).status == 201


async def test_client_waits_out_the_push_back(network: Network) -> None:
    load = await asyncio.to_thread(Load, network.home.path, network.site.network)
    backend = HttpsBackend(await asyncio.to_thread(lambda: Place.find(network.home.path).transport(url=network.url)))
    await network.login(network.admin)
    bulk = await asyncio.to_thread(lines_of, network, ENTRIES)
    async with hanging(network):
        first = await fill(network, [bulk] * ((LIMITS.queue - FOR_SMALL) // ENTRIES))
        entries = [load.envelope().entry for _ in range(ENTRIES)]
        sending = asyncio.create_task(backend.append(entries))
        await eventually(lambda: any(b"busy" in line for line in network.log.getvalue().splitlines()), "the client is pushed back")
        assert not sending.done()
    await asyncio.gather(*first)
    assert all(isinstance(one, Placed) for one in await sending)
    await backend.close()


# -- how fast honest clients are meanwhile ---------------------------------------------------------------------------

HONEST = 8
RATE = 4  # publishes a second and client: a batch of a thousand entries may pass between two of them
SECONDS = 8.0
FLOODERS = 12
KEPT = 0.8


class Honest:
    """Clients that publish at a steady rate and wait when they are told to."""

    def __init__(self, network: LiveNetwork) -> None:
        self._load = Load(network.home, network.network)
        self._network = network
        self.acknowledged = 0

    async def rate(self) -> float:
        """Publish for a while; return acknowledgements a second."""
        self.acknowledged = 0
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(self._publish(began) for _ in range(HONEST)))
        return self.acknowledged / (loop.time() - began)

    async def _publish(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        backend = HttpsBackend(await asyncio.to_thread(lambda: Place.find(self._network.home).transport(url=self._network.url)))
        number = 0
        while (now := loop.time()) < began + SECONDS:
            number = max(number + 1, int((now - began) * RATE))
            await asyncio.sleep(began + number / RATE - now)
            with suppress(BusyError):
                (one,) = await backend.append([self._load.envelope().entry])
                self.acknowledged += isinstance(one, Placed)
        await backend.close()


@contextmanager
def flood(network: LiveNetwork) -> Iterator[None]:
    """Let another process send as much as fits into a request, again and again, whatever the answer says."""
    words = [sys.executable, "-m", "tests.faults.flood", str(network.home), network.network, network.url, str(FLOODERS)]
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "full\n"
            yield
            assert process.poll() is None
        finally:
            process.kill()


@pytest.mark.siege
def test_honest_clients_keep_their_rate_under_a_flood(own_network: LiveNetwork) -> None:
    honest = Honest(own_network)
    alone = asyncio.run(honest.rate())
    with flood(own_network):
        loaded = asyncio.run(honest.rate())
    assert loaded >= KEPT * alone, f"{alone:.0f} a second alone, {loaded:.0f} beside a flood"
