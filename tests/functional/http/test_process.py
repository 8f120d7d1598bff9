"""A master as a process: port 0, one writer, drained on SIGTERM, TLS 1.3 only, no secret in its log."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
import stat
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from auth.keystore import KeyStore
from auth.tls import client_context
from ledger.core.errors import BusyError
from ledger.home.home import Home
from tests.support.masters import prepare, running_network, trusting, wait_for_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.masters import Network

RUN = """
import sys
from pathlib import Path
from ledger.home.home import Home
from ledger.home.settings import load_settings
from master.run import run_master
home = Path(sys.argv[1])
flags = {"listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0", "drain": "5s", "log_level": "debug"}
run_master(Home(home), load_settings(home, flags, {}))
"""
PATIENCE = 20.0


@dataclass
class Process:
    """A running master and what it announced."""

    process: asyncio.subprocess.Process
    home: Home
    facts: dict[str, str]

    @property
    def port(self) -> int:
        port = urlsplit(self.facts["url"]).port
        assert port is not None
        return port

    async def get(self, path: str, port: int | None = None) -> bytes:
        context = await asyncio.to_thread(trusting, self.home)
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port, ssl=context)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        await writer.wait_closed()
        return answer

    async def end(self) -> str:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(self.process.communicate(), PATIENCE)
        return err.decode()


@asynccontextmanager
async def running_process(home: Home) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, str(home.path), stderr=asyncio.subprocess.PIPE)
    try:
        facts = json.loads(await asyncio.to_thread(wait_for_file, home.path / "listen.json"))
        yield Process(process, home, facts)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def running(template: Path, tmp_path: Path) -> AsyncIterator[Process]:
    home = Home(tmp_path / "home")
    await asyncio.to_thread(shutil.copytree, template, home.path)
    async with running_process(home) as running:
        yield running


async def test_process_serves_announces_and_drains(running: Process) -> None:
    announced = running.home.path / "listen.json"
    assert stat.S_IMODE((await asyncio.to_thread(announced.stat)).st_mode) == 0o600
    assert (await running.get("/readyz")).startswith(b"HTTP/1.1 200")
    assert b"metaledger_log_size" in await running.get("/metrics", port=int(running.facts["metrics"].rpartition(":")[2]))
    assert (await running.get("/metrics")).startswith(b"HTTP/1.1 404")
    said = await running.end()
    assert running.process.returncode == 0
    assert not await asyncio.to_thread(announced.exists)
    events = [json.loads(line)["event"] for line in said.splitlines()]
    assert events[0] == "listening"
    assert events[-2:] == ["stopping", "stopped"]


async def test_process_answers_a_request_under_way_before_it_stops(running: Process) -> None:
    context = await asyncio.to_thread(trusting, running.home)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=context)
    body = b"grant_type=x"
    head = b"POST /v1/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(body) + body[:5])
    await writer.drain()
    await asyncio.sleep(0.3)
    running.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.3)
    assert running.process.returncode is None
    writer.write(body[5:])
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 400")
    writer.close()
    await running.end()
    assert running.process.returncode == 0


async def test_second_master_on_one_home_is_refused(running: Process) -> None:
    second = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, str(running.home.path), stderr=asyncio.subprocess.PIPE)
    _, err = await asyncio.wait_for(second.communicate(), PATIENCE)
    assert second.returncode != 0
    assert BusyError.__name__ in err.decode()
    assert (await running.get("/readyz")).startswith(b"HTTP/1.1 200")


async def test_killed_master_starts_again_where_it_was(running: Process) -> None:
    before = (await running.get("/checkpoint")).split(b"\r\n\r\n", 1)[1].splitlines()[:3]
    running.process.kill()
    await running.process.wait()
    await asyncio.to_thread((running.home.path / "listen.json").unlink)
    async with running_process(running.home) as again:
        assert (await again.get("/checkpoint")).split(b"\r\n\r\n", 1)[1].splitlines()[:3] == before
        assert (await again.get("/readyz")).startswith(b"HTTP/1.1 200")


async def test_tls_is_1_3_or_nothing(running: Process) -> None:
    old = await asyncio.to_thread(trusting, running.home)
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", running.port, ssl=old)


async def test_tls_shows_the_network_ca_and_its_own_hosts_only(running: Process) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", running.port, ssl=await asyncio.to_thread(client_context, None))
    mine = await asyncio.to_thread(trusting, running.home)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", running.port, ssl=mine, server_hostname="elsewhere.test")
    _, writer = await asyncio.open_connection("127.0.0.1", running.port, ssl=mine, server_hostname="localhost")
    writer.close()
    await writer.wait_closed()


async def test_log_holds_no_secret(network: Network) -> None:
    token = await network.login(network.admin)
    assertion = network.assertion(network.admin)
    await network.ask_token(assertion + "x")
    await network.publish(network.put("site", {"name": "canary-body"}))
    for path in ("/v1/policies?token=" + token, "/" + token, "/v1/policies/" + token):
        await network.get(path, who=network.admin)
    await network.call("POST", "/v1/token", headers={"Content-Type": "application/x-www-form-urlencoded"}, body="assertion=" + assertion)
    said = network.log.getvalue()
    keys = await asyncio.to_thread(lambda: [KeyStore(network.home.keys).load(name) for name in KeyStore(network.home.keys).names()])
    assert len(network.lines()) > 3
    for secret in (token, assertion, assertion.split(".")[2], token.split(".")[2], "canary-body", *(key.seed.hex() for key in keys)):
        assert secret.encode() not in said


async def test_start_that_fails_leaves_nothing_open(template: Path, tmp_path: Path) -> None:
    await asyncio.to_thread(prepare, template, Home(tmp_path / "one"), {})
    await asyncio.to_thread((tmp_path / "one" / "tls" / "key.pem").unlink)
    with pytest.raises(Exception, match=r"key\.pem"):
        async with running_network(tmp_path / "one", tmp_path / "two"):
            pass
    await asyncio.to_thread(shutil.copyfile, template / "tls" / "key.pem", tmp_path / "one" / "tls" / "key.pem")
    await asyncio.to_thread((tmp_path / "one" / "tls" / "key.pem").chmod, 0o600)
    async with running_network(tmp_path / "one", tmp_path / "three") as network:
        assert (await network.get("/readyz")).status == 200
