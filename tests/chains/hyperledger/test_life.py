"""The bridge's process starts, dies, hangs and comes back; nothing is sent twice, and the event loop goes on."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types
import pytest
import uvloop

from blockchain_adapters.hyperledger.bridge import Bridge, Pace
from blockchain_adapters.hyperledger.faults import ReopenError
from blockchain_adapters.hyperledger.link import Link, LinkError
from blockchain_adapters.hyperledger.peer import Peer
from ledger.core.errors import NotReadyError, OutcomeUnknown, UnreachableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fabric.standin import StandIn

pytestmark = pytest.mark.java
PARENT = """
import asyncio, os, signal, sys
from pathlib import Path
from blockchain_adapters.hyperledger.bridge import Bridge

async def main():
    bridge = Bridge(Path(sys.argv[1]), Path(sys.argv[2]))
    await bridge.start()
    holder = os.fork() if sys.argv[3] == "forked" else 0  # a child that holds every pipe of the parent open
    if sys.argv[3] == "forked" and not holder:
        signal.pause()
    print(bridge.pid, holder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def gone_soon(pid: int) -> bool:
    for _ in range(1_000):
        if gone(pid):
            return True
        await asyncio.sleep(0.01)
    return False


async def test_it_starts_with_the_first_call_and_ends_with_close(bridge: Bridge) -> None:
    assert bridge.pid is None
    assert await bridge.ask("ping", {}) == {"ok": True}
    assert bridge._running is not None
    process = bridge._running.process
    await bridge.close()
    assert process.returncode == 0  # by the end of its stdin, not by force
    assert gone(process.pid)
    await bridge.close()
    with pytest.raises(NotReadyError, match="closed"):
        await bridge.ask("ping", {})


async def test_many_first_calls_start_one_process(bridge: Bridge) -> None:
    await asyncio.gather(*(bridge.ask("ping", {}) for _ in range(50)))
    assert bridge.generation == 1


@pytest.mark.parametrize("way", ["alone", "forked"])
async def test_it_dies_with_its_parent(way: str, parts: tuple[Path, Path]) -> None:
    command = [sys.executable, "-c", PARENT, *map(str, parts), way]
    child = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    line = (await child.stdout.readline()).split()
    pid, holder = int(line[0]), int(line[1])
    try:
        assert await gone_soon(pid)
    finally:
        if holder:
            os.kill(holder, signal.SIGKILL)
        await child.communicate()  # its pipes end only now


async def test_a_process_that_was_killed_comes_back(bridge: Bridge) -> None:
    await bridge.start()
    assert bridge.pid is not None
    os.kill(bridge.pid, signal.SIGKILL)
    with suppress(UnreachableError, NotReadyError):  # the call that finds out
        await bridge.ask("ping", {})
    for _ in range(200):
        with suppress(NotReadyError):
            assert await bridge.ask("ping", {}) == {"ok": True}
            break
        await asyncio.sleep(0.02)
    assert bridge.generation == 2
    with pytest.raises(ReopenError):
        await bridge.ask("height", {"connection": "1"}, generation=1)


async def test_a_process_that_hangs_is_killed_and_its_transaction_is_unknown(parts: tuple[Path, Path]) -> None:
    bridge = Bridge(*parts, Pace(patience=0.5, rest=0.01))
    try:
        await bridge.ask("ping", {})  # so that there is a connection
        first = bridge.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(OutcomeUnknown):
            await bridge.ask("submit", {"connection": "1", "transaction": ""})
        assert await gone_soon(first)
        await asyncio.sleep(0.05)
        assert await bridge.ask("ping", {}) == {"ok": True}
        assert bridge.pid != first
    finally:
        await bridge.close()


async def test_a_process_that_hangs_before_a_connection_is_killed_and_nothing_was_sent(parts: tuple[Path, Path]) -> None:
    bridge = Bridge(*parts, Pace(patience=0.5, rest=0.01))
    try:
        await bridge.start()
        first = bridge.pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(UnreachableError):
            await bridge.ask("submit", {"connection": "1", "transaction": ""})
        assert await gone_soon(first)
    finally:
        await bridge.close()


async def test_calls_wait_on_few_threads_and_the_loop_goes_on(parts: tuple[Path, Path]) -> None:
    bridge = Bridge(*parts, Pace(patience=1.0, threads=3))
    try:
        await bridge.start()
        assert bridge.pid is not None
        os.kill(bridge.pid, signal.SIGSTOP)
        calls = [asyncio.create_task(bridge.ask("ping", {})) for _ in range(40)]
        turns = 0
        while not all(one.done() for one in calls):
            turns += 1
            assert sum(one.name.startswith("fabric") for one in threading.enumerate()) <= 3
            await asyncio.sleep(0.005)
        assert turns > 20
        assert all(isinstance(one.exception(), UnreachableError | NotReadyError) for one in calls)
    finally:
        await bridge.close()


async def test_one_that_does_not_start_says_why_and_rests(tmp_path: Path, parts: tuple[Path, Path]) -> None:
    broken = tmp_path / "java"
    broken.write_text("#!/bin/sh\necho 'Error: no such option' >&2\nexit 1\n")
    broken.chmod(0o755)
    bridge = Bridge(broken, parts[1], Pace(rest=30))
    with pytest.raises(NotReadyError, match="no such option"):
        await bridge.start()
    with pytest.raises(NotReadyError, match="again in"):
        await bridge.start()
    await bridge.close()


class Forgetful:
    """A server that takes one call, counts it, and closes the connection without an answer."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.calls = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                with connection, connection.makefile("rwb") as stream:
                    stream.readline()
                    stream.readline()
                    stream.write(b"!yv\n")
                    stream.flush()
                    self.calls += stream.readline() == b"c\n"

    def close(self) -> None:
        self._listening.close()


def test_a_call_without_an_answer_is_not_sent_again() -> None:
    server = Forgetful()
    link = Link(server.port, "token")
    with pytest.raises(LinkError) as caught:
        link.call("submit", "{}", 5)
    assert caught.value.sent
    assert server.calls == 1
    server.close()


def test_a_call_that_found_nobody_was_not_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LinkError) as caught:
        Link(port, "token").call("submit", "{}", 5)
    assert not caught.value.sent


async def test_both_ends_send_at_once(bridge: Bridge) -> None:
    await bridge.ask("ping", {})
    assert bridge._running is not None
    connection = bridge._running.link._idle[0]
    assert connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest.mark.strace
async def test_the_process_sends_each_answer_at_once(parts: tuple[Path, Path], tmp_path: Path) -> None:
    traced, seen = tmp_path / "java", tmp_path / "calls"
    words = f'strace -f -qq -o "{seen}" -e trace=accept,accept4,setsockopt "{parts[0]}"'
    traced.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    traced.chmod(0o755)
    bridge = Bridge(traced, parts[1])
    assert await bridge.ask("ping", {}) == {"ok": True}
    await bridge.close()  # what was seen is written down with the end of the process
    calls = seen.read_text()
    [taken] = re.finditer(r"accept4?(?:\(| resumed).*\) = (\d+)$", calls, re.MULTILINE)
    assert re.search(rf"setsockopt\({taken[1]}, SOL_TCP, TCP_NODELAY, \[1\], 4\) = 0$", calls[taken.end() :], re.MULTILINE)


async def test_memory_stays_as_it_is_over_many_calls(bridge: Bridge) -> None:
    await bridge.ask("ping", {})
    assert bridge.pid is not None
    assert bridge._running is not None
    process, link = psutil.Process(bridge.pid), bridge._running.link
    text = '{"connection":"' + "x" * 5_000 + '"}'

    def many(count: int) -> None:
        for _ in range(count):
            link.call("height", text, 10)

    await asyncio.to_thread(many, 30_000)
    before, threads = process.memory_info().rss, process.num_threads()
    await asyncio.to_thread(many, 70_000)
    assert process.memory_info().rss - before < 16 << 20
    assert process.num_threads() <= threads
    assert process.memory_info().rss < 200 << 20


@pytest.mark.fabric_standin
async def test_memory_stays_as_it_is_over_many_connections_to_a_peer(bridge: Bridge, standin: StandIn) -> None:
    peer = Peer(bridge, standin.profile())

    async def many(rounds: int) -> None:
        for _ in range(rounds):
            other = Peer(bridge, standin.profile())
            for _ in range(6):
                await asyncio.gather(*(peer.evaluate("Status") for _ in range(4)), *(peer.blocks(0, 1.0) for _ in range(2)))
            await other.evaluate("Status")  # so that the connection is one, with TLS
            assert await other.blocks(0, 1.0)
            await other.close()

    await many(40)
    assert bridge.pid is not None
    process = psutil.Process(bridge.pid)
    before, threads = process.memory_info().rss, process.num_threads()
    await many(80)
    assert process.memory_info().rss - before < 16 << 20
    assert process.num_threads() <= threads + Pace().threads  # gRPC's pool follows the calls at once; a leak is one for each connection
    assert process.memory_info().rss < 200 << 20
    await peer.close()


@pytest.mark.parametrize("fields", [{}, {"peer": 1}, {"certificate": "hello", "msp": "Org1MSP"}])
async def test_a_request_that_is_none_is_a_usage_error(bridge: Bridge, fields: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        await bridge.ask("open", fields)


def test_a_process_that_was_killed_is_buried_on_the_loop_that_the_product_runs_on(parts: tuple[Path, Path]) -> None:
    async def story() -> None:
        bridge = Bridge(*parts)
        await bridge.start()
        assert bridge.pid is not None
        os.kill(bridge.pid, signal.SIGKILL)
        assert await gone_soon(bridge.pid)
        while bridge.generation < 2:
            with suppress(UnreachableError, NotReadyError):
                await bridge.ask("ping", {})
        await bridge.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
