"""The signing process of a master: what it holds, whom it hears, how it ends; and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest

from auth.keystore import KeyStore
from ledger.core.backend import Placed
from ledger.core.errors import InternalError, LedgerError, NotFoundError, NotReadyError, OutcomeUnknown
from ledger.engine.genesis import create_log
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.lock import WriterLock
from master.signing.remote import Place, RemoteSequencer
from master.signing.wire import LENGTH
from master.status import resident
from tests.support.command import PROGRAM, Cli, clean
from tests.support.live import LiveNetwork, ledger_cli
from tests.support.masters import Network, running_network
from tests.support.small_network import Heard, SmallNetwork, key
from tests.support.status_page import differing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PHRASE = "correct horse battery staple"
UNWANTED = {"aiohttp", "click", "prometheus_client", "OpenSSL", "jwt", "cryptography.x509", "ledger.client", "ledger.http.server"}


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def write_keys(home: Home, phrase: bytes | None) -> None:
    shutil.rmtree(home.keys)
    home.keys.mkdir(mode=0o700)
    for name in ("log", "clock", "mark"):
        KeyStore(home.keys, phrase).store(name, key(name))


@pytest.fixture
async def network(tmp_path: Path) -> SmallNetwork:
    home, network = Home(tmp_path / "home"), SmallNetwork()
    await asyncio.to_thread(home.create)
    await asyncio.to_thread(write_keys, home, None)
    await create_log(home.database, network.first, network.keys, SystemClock())
    return network


@pytest.fixture
async def lock(tmp_path: Path, network: SmallNetwork) -> AsyncIterator[WriterLock]:
    taken = await asyncio.to_thread(WriterLock.take, tmp_path / "home" / "lock")
    yield taken
    taken.release()


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def remote(tmp_path: Path, lock: WriterLock, heard: Heard) -> AsyncIterator[RemoteSequencer]:
    spawned = await RemoteSequencer.spawn(Place(Home(tmp_path / "home")), lock, heard)
    yield spawned
    await spawned.close()


async def test_its_passphrase_is_in_no_argument_and_no_environment(tmp_path: Path, network: SmallNetwork, lock: WriterLock) -> None:
    home = Home(tmp_path / "home")
    await asyncio.to_thread(write_keys, home, PHRASE.encode())
    wrong = await RemoteSequencer.spawn(Place(home, "wrong"), lock)
    with pytest.raises(LedgerError, match="passphrase"):
        await wrong.start()
    with pytest.raises(NotReadyError):
        await wrong.append([b"x"])
    await wrong.close()
    assert is_gone(wrong.pid)
    remote = await RemoteSequencer.spawn(Place(home, PHRASE), lock)
    await remote.start()
    (placed,) = await remote.append([network.put("a")])
    assert isinstance(placed, Placed)
    for name in ("cmdline", "environ"):
        said = await asyncio.to_thread(Path(f"/proc/{remote.pid}/{name}").read_bytes)
        assert said
        assert PHRASE.encode() not in said
    await remote.close()


async def test_a_home_without_log_key_is_told(tmp_path: Path, remote: RemoteSequencer) -> None:
    await asyncio.to_thread(shutil.rmtree, tmp_path / "home" / "keys")
    with pytest.raises(NotFoundError, match="no log key"):
        await remote.start()


def test_it_loads_nothing_that_talks_to_the_network() -> None:
    program = "import sys, master.signing.process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert UNWANTED & set(done.stdout.split()) == set()


async def test_signals_of_a_terminal_do_not_end_it(remote: RemoteSequencer, network: SmallNetwork) -> None:
    await remote.start()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(remote.pid, number)
    assert isinstance((await remote.append([network.put("a")]))[0], Placed)


async def test_many_who_publish_at_once_are_all_answered(remote: RemoteSequencer, network: SmallNetwork) -> None:
    await remote.start()
    envelopes = [network.put(f"policy-{number}") for number in range(60)]
    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(remote.append([one]) for one in envelopes))
    placed = [one for answer in answers for one in answer if isinstance(one, Placed)]
    assert len({one.index for one in placed}) == len(envelopes)
    assert remote.waiting == 0


async def test_it_knows_how_many_wait_and_takes_half_of_them_at_a_time(
    remote: RemoteSequencer, network: SmallNetwork, heard: Heard
) -> None:
    await remote.start()
    for wave in range(3):
        await asyncio.gather(*(remote.append([network.put(f"{wave}-{number}")]) for number in range(40)))
    batches = [facts["entries"] for name, facts in heard.events if name == "sequencer.batch"]
    assert sum(batches) == 120  # type: ignore[arg-type]  # a fact may be anything
    assert batches[-4:] == [20] * 4


async def test_killed_it_leaves_unknown_outcomes_and_a_home_that_opens(
    tmp_path: Path, remote: RemoteSequencer, network: SmallNetwork, lock: WriterLock
) -> None:
    await remote.start()
    await remote.append([network.put("a")])
    os.kill(remote.pid, signal.SIGSTOP)
    envelope = network.put("b")
    under_way = asyncio.create_task(remote.append([envelope]))
    await asyncio.sleep(0)
    os.kill(remote.pid, signal.SIGKILL)
    with pytest.raises(OutcomeUnknown) as caught:
        await under_way
    assert caught.value.operation == envelope.statement.digest
    error = await remote.lost()
    assert isinstance(error, InternalError)
    assert str(error) == "the signing process was killed by SIGKILL"
    assert remote.stopped is not None
    assert remote.waiting == 0
    with pytest.raises(NotReadyError, match="stopped"):
        await remote.append([network.put("c")])
    with pytest.raises(NotReadyError):
        await remote.raise_fork_risk("anything")
    await remote.close()
    lock.release()
    again = await asyncio.to_thread(WriterLock.take, lock.path)
    other = await RemoteSequencer.spawn(Place(Home(tmp_path / "home")), again)
    await other.start()
    assert isinstance((await other.append([envelope]))[0], Placed)
    await other.close()
    again.release()


async def test_one_that_does_not_end_is_killed(remote: RemoteSequencer) -> None:
    os.kill(remote.pid, signal.SIGSTOP)
    await remote.close(patience=0.1)
    assert str(await remote.lost()) == "the signing process was killed by SIGKILL"


async def test_one_that_does_not_close_is_killed(remote: RemoteSequencer) -> None:
    await remote.start()
    os.kill(remote.pid, signal.SIGSTOP)
    await remote.close(patience=0.1, placing=0.1)
    assert str(await remote.lost()) == "the signing process was killed by SIGKILL"


async def test_a_command_to_one_that_ended_is_refused_at_once(remote: RemoteSequencer) -> None:
    await remote.start()
    os.kill(remote.pid, signal.SIGKILL)
    await remote.lost()
    with pytest.raises(NotReadyError, match="the signing process ended"):
        await remote.confirm_clock()


@pytest.mark.parametrize("nonsense", [b"\xff" * 8, LENGTH.pack(3) + b"abc", LENGTH.pack(9) + b"c\0\0\0\1[1]}"])
async def test_a_parent_that_sends_nonsense_is_not_served(
    tmp_path: Path, lock: WriterLock, nonsense: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    remote = await RemoteSequencer.spawn(Place(Home(tmp_path / "home")), lock)
    await remote.start()
    remote._send(nonsense)
    assert str(await remote.lost()) == "the signing process ended with exit code 3"
    await remote.close()
    said = capfd.readouterr().err
    assert '"event":"signing-process","code":"format"' in said
    assert "Traceback" not in said


async def test_an_unknown_command_is_refused(remote: RemoteSequencer) -> None:
    with pytest.raises(NotReadyError):
        await remote.confirm_clock()
    with pytest.raises(NotFoundError):
        await remote._command("sign", text="anything")
    await remote.start()
    await remote.confirm_clock()
    assert not remote.clock_suspect


@pytest.fixture
async def running(founded: Path, tmp_path: Path) -> AsyncIterator[Network]:
    async with running_network(founded, tmp_path / "home") as network:
        yield network


# -- under a master ----------------------------------------------------------------------------------------------------


async def test_status_names_both_processes(running: Network) -> None:
    shown = (await running.get("/v1/status", who=running.admin)).json
    assert shown["process"] == os.getpid()
    assert shown["signing_process"] == running.master.sequencer.pid
    assert shown["signing_memory"] > 1_000_000
    assert differing(shown) == set()
    assert shown["breaches"] == {"size": shown["size"], "count": 0, "looked_at": 0, "first": [], "unusable_schemas": []}


async def test_metrics_show_the_signing_process_until_it_is_gone(running: Network) -> None:
    names = [f"metaledger_signing_process_{name}" for name in ("resident_memory_bytes", "cpu_seconds_total", "start_time_seconds")]
    process = running.master.sequencer.pid

    def shown() -> list[float | None]:
        return [running.master.metrics.registry.get_sample_value(name) for name in names]

    assert all((value or 0) > 0 for value in await asyncio.to_thread(shown))
    os.kill(process, signal.SIGKILL)
    await running.master.sequencer.lost()
    assert await asyncio.to_thread(shown) == [None] * 3
    assert await asyncio.to_thread(resident, process) is None


def test_a_master_without_its_signing_process_ends_and_says_why(own_network: LiveNetwork) -> None:
    (child,) = children(own_network.master.pid)
    os.kill(child, signal.SIGKILL)
    assert own_network.master.wait() == 1
    said = own_network.master.log_text()
    assert "the signing process was killed by SIGKILL" in said
    assert "Start the master again" in said
    assert own_network.master.events("sequencer.stopped")
    assert not (own_network.home / "listen.json").exists()
    own_network.master.restart()
    asyncio.run(own_network.publish("after"))


def waiting_entries(network: LiveNetwork) -> int:
    """Return how many entries the master has not answered yet."""

    async def ask() -> int:
        async with network.transport() as transport:
            return int(orjson.loads((await transport.get("/v1/status")).body)["waiting"])

    return asyncio.run(ask())


def test_a_master_whose_disk_fails_at_the_commit_ends_and_says_why(own_network: LiveNetwork) -> None:
    """503, stop, recover: who published does not hear that it failed, and finds out what became of it after the restart."""
    node = Cli(asyncio.run(own_network.join("node-1")))
    (child,) = children(own_network.master.pid)
    _, hard = resource.prlimit(child, resource.RLIMIT_FSIZE)
    resource.prlimit(child, resource.RLIMIT_FSIZE, (1, hard))  # from now on its writes fail
    ran = node("publish", "policy", "-", stdin='{"site": {"id": "bern"}}')
    assert (ran.code, "[outcome-unknown]" in ran.err) == (4, True), ran.err
    assert own_network.master.wait() == 4
    said = own_network.master.log_text()
    assert "the signing process stopped: writing" in said
    assert "Start the master again" in said
    assert [one["id"] for one in node("get", "operations", "-o", "json").good().json] == ["bern"]
    own_network.master.restart()
    node("sync").good()
    (waiting,) = node("get", "operations", "-o", "json").good().json
    assert node("retry", "operation", str(waiting["operation"]), "-o", "json").good().json[0]["result"] == "published"
    assert own_network.master.stop() == 0
    assert ledger_cli(own_network.home, "verify", "ledger").returncode == 0


def test_what_a_dying_master_did_not_answer_is_not_taken_for_undone(own_network: LiveNetwork) -> None:
    """The publisher asks once more, and nobody is there: that says nothing of what became of the first request."""
    node = Cli(asyncio.run(own_network.join("node-1")))
    (child,) = children(own_network.master.pid)
    os.kill(child, signal.SIGSTOP)
    words = [*PROGRAM, "--home", str(node.home), "publish", "policy", "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=clean({})) as command:
        assert command.stdin is not None
        command.stdin.write(b'{"site": {"id": "bern"}}')
        command.stdin.close()
        command.stdin = None
        while not waiting_entries(own_network):
            assert command.poll() is None
            time.sleep(0.05)
        own_network.master.kill()
        _, said = command.communicate(timeout=30)
    assert (command.returncode, b"[outcome-unknown]" in said) == (4, True), said
    assert [(one["id"], one["state"]) for one in node("get", "operations", "-o", "json").good().json] == [("bern", "sent")]
    own_network.master.restart()
    node("sync").good()
    (waiting,) = node("get", "operations", "-o", "json").good().json
    node("retry", "operation", str(waiting["operation"])).good()
    node("sync").good()
    assert node("get", "operations", "-o", "json").good().json == []
    assert len(node("history", "bern", "-o", "json").good().json) == 1


def test_a_killed_master_takes_its_signing_process_along(own_network: LiveNetwork) -> None:
    (child,) = children(own_network.master.pid)
    own_network.master.kill()
    own_network.master.restart()
    assert is_gone(child)
    asyncio.run(own_network.publish("after"))
    (child,) = children(own_network.master.pid)
    assert own_network.master.stop() == 0
    assert is_gone(child)
    assert not (own_network.home / "ledger.db-wal").exists()
    assert ledger_cli(own_network.home, "verify", "ledger").returncode == 0


def test_a_master_waits_a_moment_for_one_that_is_ending(own_network: LiveNetwork) -> None:
    assert own_network.master.stop() == 0
    held = WriterLock.take(own_network.home / "lock")

    def release() -> None:
        while not own_network.master.events("waiting"):
            time.sleep(0.01)
        held.release()

    releasing = threading.Thread(target=release)
    releasing.start()
    own_network.master.start()
    releasing.join()
    assert [line["seconds"] for line in own_network.master.events("waiting")] == [2.0]
