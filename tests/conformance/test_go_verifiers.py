"""Programs that nobody here wrote read our log: Tessera's fsck, and Go's sumdb/note and sumdb/tlog in a small program of ours.

They are tried on logs of awkward sizes made by `ledger.core`, whole and spoilt in each file, and on a running master.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from ledger.core.keys import PrivateKey
from ledger.core.merkle import inclusion_proof
from ledger.core.note import VerifierKey, parse_note, parse_vkey
from ledger.core.receipt import Receipt
from tests.support.go_tools import CHECKLOG, FSCK, built
from tests.support.live import LiveNetwork, live
from tests.support.static_log import Served, StaticLog, served, static_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.go, pytest.mark.timeout(900)]  # the first test may have to build the programs

SECONDS = 60
SIZES = (1, 2, 3, 255, 256, 257, 512, 1_000, 66_000)
PUBLISHED = 300  # more than a full tile


class Keyed(Protocol):
    """A log whose key is known."""

    @property
    def vkey(self) -> str: ...


class LogServer(Keyed, Protocol):
    """What a reader needs to know about a log that is being served."""

    @property
    def url(self) -> str: ...
    @property
    def ca_file(self) -> Path: ...
    @property
    def token(self) -> str: ...


def run_fsck(log: LogServer, folder: Path) -> str:
    """Return what fsck says. It exits 0 on every failure, so only its last line tells."""
    key_file = folder / "log.vkey"
    key_file.write_text(log.vkey)
    arguments = [f"--storage_url={log.url}", f"--public_key={key_file}", f"--bearer_token={log.token}"]
    done = subprocess.run(
        [str(built(FSCK)), *arguments, "--N=4", "--ui=false", "--logtostderr"],
        env={**os.environ, "SSL_CERT_FILE": str(log.ca_file)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return done.stderr


def is_whole(report: str) -> bool:
    return "Successfully fsck'd" in report


def run_checklog(log: LogServer, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    token_file = folder / "token"
    token_file.write_text(log.token)
    arguments = [f"-url={log.url}", f"-vkey={log.vkey}", f"-ca={log.ca_file}", f"-token-file={token_file}", *more]
    return subprocess.run([str(built(CHECKLOG)), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


def some_entries(size: int) -> list[bytes]:
    return [b"entry %d " % number + b"x" * (number % 300) for number in range(size)]


@pytest.fixture(scope="module", params=SIZES)
def log(request: pytest.FixtureRequest) -> StaticLog:
    size: int = request.param
    return static_log(some_entries(size))


def test_fsck_finds_logs_of_every_shape_whole(log: StaticLog, tmp_path: Path) -> None:
    with served(log, tmp_path) as server:
        report = run_fsck(server, tmp_path)
    assert is_whole(report), report[-2000:]


def test_tlog_finds_logs_of_every_shape_whole(log: StaticLog, tmp_path: Path) -> None:
    size = len(log.entries)
    with served(log, tmp_path) as server:
        for index, prefix in {(0, 1), (size - 1, size), (size // 2, max(1, size // 3))}:
            done = run_checklog(server, tmp_path, f"-clock-vkey={log.clock_vkey}", f"-index={index}", f"-old-size={prefix}")
            assert done.returncode == 0, done.stderr
            assert done.stdout.startswith(f"ok size={size} ")


def test_tlog_without_the_token_is_refused(tmp_path: Path) -> None:
    log = static_log(some_entries(5))
    with served(log, tmp_path) as server:
        (tmp_path / "wrong").write_text("another-token")
        done = run_checklog(server, tmp_path, f"-token-file={tmp_path / 'wrong'}")
    assert done.returncode == 1
    assert "401" in done.stderr


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000"])
def test_one_changed_byte_is_found(path: str, tmp_path: Path) -> None:
    log = static_log(some_entries(300))
    spoilt = bytearray(log.files[path])
    spoilt[5] ^= 1  # in the origin, in the first hash, in the first entry
    log.files[path] = bytes(spoilt)
    with served(log, tmp_path) as server:
        assert not is_whole(run_fsck(server, tmp_path))
        done = run_checklog(server, tmp_path, "-index=0")
    assert done.returncode == 1, done.stdout


def test_checkpoint_of_another_key_is_refused(tmp_path: Path) -> None:
    log = static_log(some_entries(10))
    note = parse_note(log.note)
    log.files["checkpoint"] = type(note)(note.text, note.lines[1:]).encode()
    with served(log, tmp_path) as server:
        assert not is_whole(run_fsck(server, tmp_path))
        assert run_checklog(server, tmp_path).returncode == 1


def test_clock_line_of_another_time_is_refused(tmp_path: Path) -> None:
    log = static_log(some_entries(10))
    note = parse_note(log.note)
    first, clock = note.lines
    later = (int.from_bytes(clock.signature[:8]) + 1).to_bytes(8) + clock.signature[8:]
    log.files["checkpoint"] = type(note)(note.text, (first, type(clock)(clock.name, clock.key_id, later))).encode()
    with served(log, tmp_path) as server:
        assert run_checklog(server, tmp_path).returncode == 0  # the log line is still good
        done = run_checklog(server, tmp_path, f"-clock-vkey={log.clock_vkey}")
    assert done.returncode == 1
    assert "invalid signature" in done.stderr


@pytest.mark.parametrize("size", [1, 7, 300])
def test_tlog_accepts_receipts_and_no_changed_ones(size: int, tmp_path: Path) -> None:
    log = static_log(some_entries(size))
    index = size // 2
    proof = inclusion_proof(index, size, log.nodes)
    good = Receipt(index=index, proof=proof, note=log.note, entry=log.entries[index]).encode()
    other = Receipt(index=index, proof=proof, note=log.note, entry=b"another entry").encode()
    moved = good.replace(b"index %d\n" % index, b"index %d\n" % (index + 1))
    assert check_receipt(good, log, log.clock_vkey, tmp_path).returncode == 0
    assert check_receipt(other, log, log.clock_vkey, tmp_path).returncode == 1
    assert check_receipt(moved, log, log.clock_vkey, tmp_path).returncode == 1
    assert base64.b64encode(log.entries[index]) in good


def check_receipt(receipt: bytes, log: Keyed, clock_vkey: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "receipt.tlog-proof"
    path.write_bytes(receipt)
    arguments = [f"-receipt={path}", f"-vkey={log.vkey}", f"-clock-vkey={clock_vkey}"]
    return subprocess.run([str(built(CHECKLOG)), *arguments], capture_output=True, text=True, timeout=SECONDS, check=False)


@dataclass(frozen=True)
class Grown:
    """A running master with more than one full tile, the key of its clock, and a receipt that it gave."""

    log: LiveNetwork
    clock_vkey: str
    size: int
    receipt: bytes


@pytest.fixture(scope="module")
def grown(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    with live(founded, tmp_path_factory.mktemp("grown")) as network:
        yield asyncio.run(grow(network))


async def grow(network: LiveNetwork) -> Grown:
    published = await network.publish(*(f"site {number}" for number in range(PUBLISHED)))
    last = published[-1]
    assert last.receipt is not None
    assert last.index is not None
    async with network.client() as client:
        (first,) = await client.entries(0, 1)
    body = first.facts(whole=True)["body"]
    assert isinstance(body, dict)
    return Grown(network, str(body["clock_keys"][0]), last.index + 1, last.receipt)


def test_fsck_finds_a_new_master_whole(live_master: LogServer, tmp_path: Path) -> None:
    report = run_fsck(live_master, tmp_path)
    assert is_whole(report), report[-2000:]


def test_fsck_finds_a_running_master_whole_while_it_grows(grown: Grown, tmp_path: Path) -> None:
    for name in ("one more", "and one more"):
        asyncio.run(grown.log.publish(f"fsck, {name}"))
        report = run_fsck(grown.log, tmp_path)
        assert is_whole(report), report[-2000:]


def test_tlog_finds_a_running_master_whole_and_consistent(grown: Grown, tmp_path: Path) -> None:
    asyncio.run(grown.log.publish("tlog, one more"))
    for index, prefix in ((0, 1), (255, 256), (grown.size - 1, grown.size)):
        done = run_checklog(grown.log, tmp_path, f"-clock-vkey={grown.clock_vkey}", f"-index={index}", f"-old-size={prefix}")
        assert done.returncode == 0, done.stderr
        size = int(done.stdout.removeprefix("ok size=").split()[0])
        assert size > grown.size > PUBLISHED


def test_tlog_accepts_a_receipt_of_a_running_master(grown: Grown, tmp_path: Path) -> None:
    assert check_receipt(grown.receipt, grown.log, grown.clock_vkey, tmp_path).returncode == 0
    index = b"index %d\n" % (grown.size - 1)
    assert index in grown.receipt
    moved = grown.receipt.replace(index, b"index %d\n" % (grown.size - 2))
    assert check_receipt(moved, grown.log, grown.clock_vkey, tmp_path).returncode == 1


def test_fsck_finds_a_relaying_node_whole(grown: Grown, tmp_path: Path) -> None:
    home = asyncio.run(grown.log.join("relay"))
    node = grown.log.start_node(home, "--relay")
    token = asyncio.run(node_token(grown.log, node.url))
    report = run_fsck(Served(node.url, grown.log.ca_file, grown.log.vkey, grown.clock_vkey, token), tmp_path)
    assert is_whole(report), report[-2000:]


async def node_token(network: LiveNetwork, url: str) -> str:
    async with network.transport(url) as transport:
        return await transport.token()


def test_running_master_of_another_key_is_refused(live_master: LogServer, tmp_path: Path) -> None:
    key = parse_vkey(live_master.vkey)
    other = VerifierKey(key.name, key.kind, PrivateKey(bytes(32)).public).text
    assert run_checklog(live_master, tmp_path, f"-vkey={other}").returncode == 1
    assert not is_whole(run_fsck(Served(live_master.url, live_master.ca_file, other, "", live_master.token), tmp_path))
