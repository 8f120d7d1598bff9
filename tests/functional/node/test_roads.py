"""By which roads a node follows: IPv6, a proxy, relays behind relays with the master cut off; and with a clock that steps."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.functional.node.stage import Stage, Victims, staged
from tests.support.live import LiveNetwork, eventually, open_client, reaches, size_of, state_root_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def over_ipv6(victims: Victims, tmp_path: Path) -> Iterator[Stage]:
    with staged(victims, tmp_path, host="::1") as stage:
        yield stage


async def test_node_follows_over_ipv6_and_answers_there(over_ipv6: Stage) -> None:
    stage = over_ipv6
    assert (stage.liar.url.startswith("https://[::1]:"), stage.node.url.startswith("https://[::1]:")) == (True, True)
    await stage.begin()
    await stage.follows_again(stage.log)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


class Proxy:
    """An HTTP proxy that knows CONNECT alone, and remembers where it was asked to go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._connect, args=(self._listener.accept()[0],), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        host, port = target.rsplit(":", 1)
        with client, socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_carry, args=(server, client), daemon=True)
            back.start()
            _carry(client, server)
            back.join()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    one = Proxy()
    monkeypatch.setenv("HTTPS_PROXY", one.url)
    yield one
    one.close()


@pytest.fixture
def behind_proxy(proxy: Proxy, victims: Victims, tmp_path: Path) -> Iterator[Stage]:
    with staged(victims, tmp_path) as stage:
        yield stage


async def test_node_follows_through_the_proxy_that_the_environment_names(proxy: Proxy, behind_proxy: Stage) -> None:
    stage = behind_proxy
    await stage.begin()
    assert f"CONNECT {stage.liar.url.removeprefix('https://')}" in proxy.asked
    assert not [one for one in proxy.asked if not one.startswith("CONNECT 127.0.0.1:")]
    await stage.follows_again(stage.log)


async def test_three_levels_of_relays_answer_and_verify_with_the_master_cut_off(own_network: LiveNetwork) -> None:
    network = own_network
    names = ["level-1", "level-2", "level-3"]
    homes = [await network.join(name) for name in names]
    above, server = network.url, "master"
    for name, home in zip(names, homes, strict=True):
        relay = await asyncio.to_thread(lambda: network.start_node(home, "--relay", ledger=above, server=server, poll=0.5))  # noqa: B023 - awaited here
        above, server = relay.url, name
    await network.publish("handed down")
    size = await size_of(network.home)
    for home in homes:
        await reaches(home, size)
    root = await state_root_of(network.home)
    await asyncio.to_thread(network.master.kill)
    for home, node in zip(homes, network.servers, strict=True):
        async with network.transport(node.url, home) as member:  # a token from the node's own replica
            assert (await member.get("/v1/policies?kind=site")).status == 200
            assert (await member.get("/v1/entries?start=0&end=1")).status == 200
        async with open_client(home) as client:
            assert (await client.verify_ledger())["verified"] is True
        assert await state_root_of(home) == root
    bottom = homes[-1]
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "head.json"):
        network.servers[-1].kill()
        await asyncio.to_thread((bottom / name).unlink, missing_ok=True)
    await asyncio.to_thread(network.servers[-1].start)
    await reaches(bottom, size)  # the whole log, from a relay of a relay
    assert await state_root_of(bottom) == root


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The offset of the wall clock for the processes of this test, as libfaketime reads it; the monotonic clock stays."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    monkeypatch.setenv("LD_PRELOAD", FAKETIME)
    for name, value in {"TIMESTAMP_FILE": str(offset), "NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}.items():
        monkeypatch.setenv(f"FAKETIME_{name}", value)
    return offset


FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1"


@pytest.fixture
def stepping(wall: Path, victims: Victims, tmp_path: Path) -> Iterator[Stage]:
    with staged(victims, tmp_path) as stage:
        yield stage


@pytest.mark.faketime
async def test_clock_that_steps_changes_what_is_said_of_age_and_nothing_that_is_taken(wall: Path, stepping: Stage) -> None:
    stage = stepping

    async def remark() -> str:
        return str((await stage.read("/v1/policies?kind=site")).get("remark"))

    async def says(words: str) -> None:
        async def said() -> bool:
            return words in await remark()

        await eventually(said, words)

    assert await remark() == "None"
    await asyncio.to_thread(wall.write_text, "+2d")
    await says("older than 86400 s")
    await stage.begin()
    await asyncio.to_thread(wall.write_text, "-20m")
    await says("ahead of this node")
    await stage.begin()
    await asyncio.to_thread(wall.write_text, "+0")
    await says("None")
    await stage.follows_again(stage.log)
