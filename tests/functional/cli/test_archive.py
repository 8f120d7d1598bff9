"""`backup`, `restore`, `export`, `verify ledger FILE`, `import`: whole or not at all, bit for bit, and never a fork by accident."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
import zstandard

from tests.support.command import PROGRAM, Cli, clean
from tests.support.live import configure
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())
POLICY = {"site": {"id": "late", "n": 1}}


def contents(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return what makes the log and its state in a `ledger.db`."""
    tables = ("head", "entry", "node", "void", "version", "keyrec", "lookup")
    connection = sqlite3.connect(database)
    try:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in tables}
    finally:
        connection.close()


def repacked(source: Path, target: Path, change: Callable[[bytes], bytes]) -> Path:
    """Write an export anew with its content changed, as an attacker would: the frame itself is whole."""
    content = zstandard.ZstdDecompressor().stream_reader(source.read_bytes()).read()
    target.write_bytes(zstandard.compress(change(content)))
    return target


@pytest.fixture
def exported(cli: Cli, tmp_path: Path) -> Path:
    """An export of the embedded ledger."""
    cli("drop", "policy", "zeta").good()
    path = tmp_path / "demo.ledger"
    said = cli("export", "-o", str(path)).good()
    assert (said.raw, f"written to {path}" in said.err) == (b"", True)
    return path


# -- export, verify, import --------------------------------------------------------------------------------------


def test_an_export_verifies_with_and_without_a_home(cli: Cli, exported: Path, tmp_path: Path) -> None:
    own = cli("verify", "ledger", "-o", "json").good().json
    nobody = Cli(tmp_path / "nobody")
    for reader in (cli, nobody):
        for words in ((), ("--deep",)):
            ran = reader("verify", "ledger", str(exported), *words, "-o", "json").good()
            assert list(ran.json) == SHAPES["verify ledger"]
            assert ran.json == own
    assert f"compare the network id {own['network']}" in nobody("verify", "ledger", str(exported)).err
    assert not nobody.home.exists()
    assert cli("export").good().raw == exported.read_bytes()


def test_an_import_brings_everything_back_bit_for_bit(cli: Cli, exported: Path, tmp_path: Path) -> None:
    copy = Cli(tmp_path / "copy")
    ran = copy("import", str(exported), "-o", "json").good()
    assert list(ran.json) == SHAPES["import EXPORT"]
    assert (ran.json["flagged"], "compare it" in ran.err) == (True, True)
    assert contents(copy.home / "ledger.db") == contents(cli.home / "ledger.db")
    assert copy("export").good().raw == exported.read_bytes()
    assert copy("get", "operator", "-o", "json").good().json == cli("get", "operator", "-o", "json").good().json
    assert copy("verify", "ledger", "--deep", "-o", "json").good().json == cli("verify", "ledger", "-o", "json").good().json
    assert copy("get", "receipt", "acme").good().raw.startswith(b"c2sp.org/tlog-proof@v1")
    assert (copy("publish", "policy", "-", stdin='{"site": {}}').code, copy("import", str(exported)).code) == (3, 5)


def test_an_import_into_a_home_with_keys_is_not_signed_on_before_an_operator_says_so(cli: Cli, exported: Path, tmp_path: Path) -> None:
    size = cli("status", "-o", "json").json["size"]
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in cli.home.glob("ledger.db*"):
        shutil.move(path, kept)
    cli("import", str(exported)).good()
    refused = cli("publish", "policy", "-", stdin='{"site": {"id": "late"}}')
    assert (refused.code, "fork" in refused.err, cli("get", "operator", "-o", "id").good().out) == (5, True, "acme\n")
    assert cli("publish", "policy", "-", stdin='{"site": {"id": "late"}}', METALEDGER_ACCEPT_FORK_RISK=str(size + 1)).code == 2
    cli("publish", "policy", "-", stdin='{"site": {"id": "late"}}', METALEDGER_ACCEPT_FORK_RISK=str(size)).good()
    cli.publish({"site": {"id": "later"}})
    assert cli("verify", "ledger", "-o", "json").good().json["size"] in (size + 2, size + 3)  # with a mark or without


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("an entry", lambda content: content[:-40] + b"x" + content[-39:], "is void"),
        ("cut", lambda content: content[:-10], "cut off"),
        ("an entry less", lambda content: content[: content.rindex(b'{"payload"') - 2], "cut off"),
        ("more", lambda content: content + b"x", "goes on"),
        ("root", lambda content: content.replace(b'"root":"', b'"root":"00', 1)[: len(content) + 2], ""),
        ("note", lambda content: content.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x95 ", 1), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_changed_export_is_found_out(
    cli: Cli, exported: Path, tmp_path: Path, name: str, change: Callable[[bytes], bytes], said: str
) -> None:
    forged = repacked(exported, tmp_path / "forged", change)
    ran = cli("verify", "ledger", str(forged), "-o", "json")
    assert ran.code in (1, 2), name
    assert said in ran.err
    taken = Cli(tmp_path / "taken")
    assert taken("import", str(forged)).code == ran.code
    assert not (taken.home / "ledger.db").exists()


def test_the_header_of_an_export_is_not_believed(cli: Cli, exported: Path, tmp_path: Path) -> None:
    facts = cli("verify", "ledger", "-o", "json").json
    lies = {
        "the entries do not make": (facts["root"].encode(), b"0" * 64),
        "the state root of the file": (facts["state_root"].encode(), b"0" * 64),
        "of network": (b'"network":"' + facts["network"].encode(), b'"network":"' + b"0" * 64),
        "stands as void": (b'"void":[]', b'"void":[5]'),
    }
    found: dict[str, object] = {}
    for said, (true, lie) in lies.items():
        forged = repacked(exported, tmp_path / "forged", partial(_replaced, true=true, lie=lie))
        ran = cli("verify", "ledger", str(forged), "-o", "json")
        assert (ran.code, ran.json["verified"], said in ran.json["detail"]) == (1, False, True), said
        found[said] = ran.json["index"]
    assert found["stands as void"] == 5


def _replaced(content: bytes, *, true: bytes, lie: bytes) -> bytes:
    assert true in content
    return content.replace(true, lie, 1)


def test_what_is_no_export_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (
        b"",
        b"hello",
        zstandard.compress(b"hello"),
        zstandard.compress(b"metaledger-export-1\n{}\n"),
        zstandard.compress(b"x" * 10**7),
    ):
        path.write_bytes(content)
        assert cli("verify", "ledger", str(path)).code == 2
        assert Cli(tmp_path / "new")("import", str(path)).code == 2
    assert cli("verify", "ledger", str(tmp_path / "absent")).code == 2
    assert not (tmp_path / "new").exists()
    path.write_text("mine")
    assert (cli("export", "-o", str(path)).code, path.read_text()) == (5, "mine")
    assert cli("export", "-o", str(tmp_path / "no" / "where")).code == 4
    assert cli("export", "--format", "csv").code == 2
    assert Cli(tmp_path / "nobody")("export").code == 1
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "home"]


def test_a_file_of_another_network_is_refused(cli: Cli, exported: Path, tmp_path: Path) -> None:
    other = Cli(tmp_path / "other")
    other("create", "network", "other", "--url", f"sqlite://{tmp_path}/other/ledger.db").good()
    ran = other("verify", "ledger", str(exported), "-o", "json")
    assert (ran.code, "of network" in ran.json["detail"]) == (1, True)
    assert other("import", str(exported)).code == 2
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "thesis.txt").write_text("mine")
    assert Cli(tmp_path / "strange")("import", str(exported)).code == 2


# -- backup, restore ---------------------------------------------------------------------------------------------


def test_a_backup_is_verified_and_holds_the_database_alone(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ledger.backup"
    facts = cli("backup", str(path), "-o", "json").good().json
    assert list(facts) == SHAPES["backup BACKUP"]
    assert (facts["verified"], facts["size"], path.stat().st_mode & 0o777) == (True, cli("status", "-o", "json").json["size"], 0o600)
    assert contents(path) == contents(cli.home / "ledger.db")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["home", "ledger.backup"]
    again = cli("backup", str(path))
    assert (again.code, "not overwritten" in again.err) == (5, True)
    assert cli("backup", str(tmp_path / "no" / "where")).code == 4
    assert cli("backup", str(tmp_path / "b"), "--ledger", f"sqlite://{path}").code == 2


def test_a_damaged_ledger_is_not_backed_up_and_a_damaged_backup_not_restored(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "good"
    cli("backup", str(path)).good()
    for database in (cli.home / "ledger.db", path):
        connection = sqlite3.connect(database)
        connection.execute("UPDATE entry SET bytes = CAST(replace(CAST(bytes AS TEXT), 'eyJ', 'fyJ') AS BLOB) WHERE idx = 5")
        connection.commit()
        connection.close()
    before = (cli.home / "ledger.db").read_bytes()
    assert (cli("backup", str(tmp_path / "bad")).code, (tmp_path / "bad").exists()) == (1, False)
    ran = cli("restore", str(path))
    assert (ran.code, "entry 5 was changed" in ran.err, (cli.home / "ledger.db").read_bytes() == before) == (1, True, True)
    path.write_bytes(b"no database at all" * 100)
    assert (cli("restore", str(path)).code, cli("restore", str(tmp_path / "absent")).code) == (1, 2)
    assert not list(cli.home.glob(".restore-*"))


def test_a_restored_log_is_not_signed_on_before_an_operator_says_so(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    size = cli("backup", str(path), "-o", "json").good().json["size"]
    cli.publish(POLICY)
    left = cli("status", "-o", "json").good().json["size"]  # a mark may stand beside the policy
    ran = cli("restore", str(path), "-o", "json").good()
    assert list(ran.json) == SHAPES["restore BACKUP"]
    assert (ran.json["size"], ran.json["flagged"], ran.json["left"]) == (size, True, left)
    assert f"{left - size} of them are missing" in ran.err
    assert cli("get", "policy", "late").code == 1
    assert cli("publish", "policy", "-", stdin='{"site": {}}').code == 5
    status = cli("status", "-o", "json")
    assert (status.code, status.json["state"], status.json["fork_risk"]) == (5, "alarm", "restored from the backup backup")
    kept = ran.json["kept"]
    assert cli("get", "policy", "late", "--ledger", f"sqlite://{kept}").good().json["site"]["n"] == 1
    cli("publish", "policy", "-", stdin='{"site": {"id": "new"}}', METALEDGER_ACCEPT_FORK_RISK=str(size)).good()
    cli("publish", "policy", "-", stdin='{"site": {"id": "newer"}}').good()
    assert cli("verify", "ledger", "--deep", "-o", "json").good().json["size"] in (size + 2, size + 3)  # with a mark or without
    assert cli("status", "-o", "json").good().json["fork_risk"] is None


def test_a_home_that_lost_its_ledger_gets_it_back(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "backup"
    cli("backup", str(path)).good()
    for one in cli.home.glob("ledger.db*"):
        one.unlink()
    facts = cli("restore", str(path), "-o", "json").good().json
    assert (facts["kept"], facts["left"]) == (None, facts["size"])
    assert contents(cli.home / "ledger.db") == contents(path)


@pytest.mark.parametrize("verb", ["restore", "import"])
def test_what_is_interrupted_is_all_or_nothing(cli: Cli, tmp_path: Path, verb: str) -> None:
    cli.publish(*({"site": {"id": f"s-{number}", "text": "x" * 300}} for number in range(3000)))
    path = tmp_path / "file"
    cli(*(("backup", str(path)) if verb == "restore" else ("export", "-o", str(path)))).good()
    target = cli if verb == "restore" else Cli(tmp_path / "copy")
    before = cli("status", "-o", "json").json["fork_risk"]
    process = subprocess.Popen([*PROGRAM, "--home", str(target.home), verb, str(path)], stderr=subprocess.PIPE, env=clean({}))
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.9)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    risk = cli("status", "-o", "json").json["fork_risk"]
    taken = risk != before if verb == "restore" else (tmp_path / "copy" / "config.toml").exists()
    assert risk in (before, "restored from the backup file")
    assert not list(target.home.glob(".restore-*"))
    if not taken:  # a signal after the last rename comes too late: then all of it is there
        target(verb, str(path)).good()
    # Only a signal that comes when the work is done, and the interpreter is ending, may end it the system's way.
    assert process.returncode in ((0, 130, -signal.SIGINT) if taken else (130,)), err
    target("verify", "ledger").good()


def test_an_online_backup_and_a_way_back_with_the_tail_from_a_node(own_network: LiveNetwork, tmp_path: Path) -> None:
    master = Cli(own_network.home)
    master.publish(*({"site": {"id": f"early-{number}", "text": "x" * 400}} for number in range(300)))
    home = asyncio.run(own_network.join("node-1"))
    node = own_network.start_node(home, "--relay")
    path = tmp_path / "backup"
    writing = threading.Event()
    background = threading.Thread(target=_publish_until, args=(own_network, writing))
    background.start()
    try:
        facts = master("backup", str(path), "-o", "json").good().json
    finally:
        writing.set()
        background.join()
    assert facts["verified"] is True
    master.publish(POLICY)
    reference = master("export").good().raw
    Cli(home)("sync").good()
    assert master("restore", str(path)).code == 4  # the master runs
    own_network.master.stop()
    assert master("status", "-o", "json").json["size"] > facts["size"]

    ran = master("restore", str(path), "--from", "https://127.0.0.1:9", "--from", node.url, "-o", "json").good()
    assert (ran.json["flagged"], "cannot connect" in ran.json["notes"][0], "entries brought back" in ran.json["notes"][1]) == (True,) * 3
    assert ran.json["size"] == ran.json["left"]
    assert _entries(master("export").good().raw) == _entries(reference)
    own_network.master.restart()
    refused = master("publish", "policy", "-", stdin='{"site": {"id": "after"}}')
    assert (refused.code, "fork" in refused.err) == (5, True)
    own_network.master.stop()
    own_network.master.start(own_network.url.removeprefix("https://"), "--accept-fork-risk", str(ran.json["size"]))
    master.publish({"site": {"id": "after"}})
    facts = Cli(home)("sync", "-o", "json").good().json
    assert Cli(home)("get", "policy", "after").good().json["site"]["id"] == "after"
    assert Cli(home)("status", "-o", "json").json["alarms"] == []
    assert facts["size"] == master("status", "-o", "json").json["size"]


def _publish_until(network: LiveNetwork, done: threading.Event) -> None:
    """Keep the master writing; as a program of its own, for the environment of this one is the test's."""
    number = 0
    while not done.is_set():
        number += 1
        words = [*PROGRAM, "--home", str(network.home), "publish", "policy", "-"]
        subprocess.run(words, input=f'{{"site": {{"id": "while-{number}"}}}}'.encode(), env=clean({}), capture_output=True, check=True)


def _entries(exported: bytes) -> bytes:
    """Return what follows the checkpoint in an export: its clock line may be newer."""
    content = zstandard.ZstdDecompressor().stream_reader(exported).read()
    return content[content.index(b'{"payload"') :]


def test_a_replica_is_backed_up_and_comes_back_unflagged(own_network: LiveNetwork, tmp_path: Path) -> None:
    node = Cli(asyncio.run(own_network.join("node-1")))
    path = tmp_path / "replica"
    size = node("backup", str(path), "-o", "json").good().json["size"]
    Cli(own_network.home).publish(POLICY)
    node("sync").good()
    facts = node("restore", str(path), "-o", "json").good().json
    assert (facts["size"], facts["flagged"]) == (size, False)
    node("sync").good()
    assert node("get", "policy", "late").good().json["site"]["n"] == 1
    exported = tmp_path / "node.ledger"
    node("export", "-o", str(exported)).good()
    for one in node.home.glob("ledger.db*"):
        one.unlink()
    facts = node("import", str(exported), "-o", "json").good().json
    assert (facts["flagged"], node("get", "policy", "late").good().json["site"]["n"]) == (False, 1)
    assert _entries(node("export").good().raw) == _entries(exported.read_bytes())
    configure(node.home, ledger="https://127.0.0.1:9")
    node("verify", "ledger", str(exported)).good()


def test_an_interrupted_backup_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    cli.publish(*({"site": {"id": f"s-{number}", "text": "x" * 300}} for number in range(3000)))
    for words in (["backup", str(tmp_path / "b")], ["export", "-o", str(tmp_path / "e")]):
        process = subprocess.Popen([*PROGRAM, "--home", str(cli.home), *words], stderr=subprocess.PIPE, env=clean({}))
        while process.poll() is None and not list(tmp_path.glob(".?.*")):
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode in (0, 130), err
        if process.returncode:
            assert sorted(one.name for one in tmp_path.iterdir()) in (["home"], ["b", "home"])
    cli("verify", "ledger").good()
