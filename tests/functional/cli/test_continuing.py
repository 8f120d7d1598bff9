"""A log that was restored from an older backup goes on by a root with `continues`: what is ahead goes back, and nobody sees a fork."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.core.note import parse_note
from ledger.home.home import Home
from tests.functional.cli.test_ceremony import draft, root_in_force
from tests.functional.cli.test_rotating_log_key import end_of_checkpoint
from tests.support.command import Cli
from tests.support.live import eventually, reaches, size_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork


def lose(network: LiveNetwork, home: Path, backup: Path) -> tuple[int, int]:
    """Restore the master from a backup that lacks what the node in `home` holds; return the size that is left, and the node's."""
    master = Cli(network.home)
    size: int = master("backup", str(backup), "-o", "json").good().json["size"]
    master.publish({"site": {"id": "lost", "n": 1}}, {"site": {"id": "lost-too", "n": 2}})
    held = asyncio.run(size_of(network.home))
    asyncio.run(reaches(home, held))
    network.master.stop()
    master("restore", str(backup)).good()
    network.master.restart()
    return size, held


def signs_on_after_a_restart(network: LiveNetwork) -> None:
    network.master.stop()
    network.master.restart()
    master = Cli(network.home)
    assert master("status", "-o", "json").good().json["fork_risk"] is None
    master.publish({"site": {"id": "after-a-restart"}})


def test_restored_master_goes_on_and_a_node_that_was_ahead_goes_back_and_follows(own_network: LiveNetwork, tmp_path: Path) -> None:
    network, master = own_network, Cli(own_network.home)
    (early,) = master.publish({"site": {"id": "early", "n": 0}}, words=("--receipt-dir", str(tmp_path)))
    home = asyncio.run(network.join("node-1"))
    network.start_node(home, poll=0.2)
    node = Cli(home)
    size, held = lose(network, home, tmp_path / "backup")
    refused = master("publish", "policy", "-", stdin='{"site": {"id": "forked"}}')
    assert (refused.code, "create root --continue" in refused.err) == (5, True)
    assert node("create", "root", "--continue").code == 3

    before = root_in_force(master)
    path = draft(master, tmp_path / "root-2.json", "--continue")
    assert master("publish", "policy", "-", stdin='{"site": {"id": "forked"}}').code == 5  # a draft decides nothing
    assert '"continues"' in master("sign", "root", path).good().err
    (made,) = master("publish", "root", path, "-o", "json").good().json
    after = root_in_force(master)
    assert (made["index"], made["result"], after["version"]) == (size, "published", 2)
    for changed in ("origin", "log_keys", "clock_keys"):
        assert after[changed] != before[changed]

    (late,) = master.publish({"site": {"id": "late", "n": 3}})
    assert late["index"] > size
    note = parse_note(asyncio.run(end_of_checkpoint(network)))
    assert [line.name for line in note.lines] == [after["origin"], f"{after['origin']}/clock"]

    async def has_late() -> bool:
        return (await asyncio.to_thread(node, "get", "policy", "late")).code == 0

    asyncio.run(eventually(has_late, "the node follows again"))
    assert [node("get", "policy", one).code for one in ("early", "lost", "lost-too")] == [0, 1, 1]
    status = node("status", "-o", "json").good().json
    assert (status["alarms"], status["halted"]) == ([], None)
    assert status["went_back"] == [f"{held} to {size} by root 2"]
    node.publish({"site": {"id": "lost", "n": 1}})
    for one in (master, node):
        assert one("verify", "ledger", "--deep", "-o", "json").good().json["verified"]
        one("verify", "receipt", str(tmp_path / f"{early['id']}.tlog-proof")).good()

    signs_on_after_a_restart(network)


def test_embedded_ledger_goes_on_too_and_each_draft_has_keys_of_its_own(cli: Cli, tmp_path: Path) -> None:
    store = KeyStore(Home(cli.home).keys)
    cli("backup", str(tmp_path / "backup")).good()
    cli.publish({"site": {"id": "lost"}})
    cli("restore", str(tmp_path / "backup")).good()
    before = store.names()
    assert cli("create", "root", "--continue", "--threshold", "7").code == 2
    refused = cli("create", "root", "--continue", "--patch", '{"origin": "mine", "order": {}}')
    assert (refused.code, "cannot say order, origin" in refused.err) == (2, True)
    assert store.names() == before  # what is no root leaves no key
    assert not list(tmp_path.glob("*.json"))
    draft(cli, tmp_path / "unused.json", "--continue")
    made = store.names()
    assert cli("create", "root", "--continue", "--out", str(tmp_path / "unused.json")).code == 5
    assert cli("create", "root", "--continue", "--threshold", "7", "--out", str(tmp_path / "none.json")).code == 2
    assert (store.names(), (tmp_path / "none.json").exists()) == (made, False)  # nor does what could not be written
    path = draft(cli, tmp_path / "root-2.json", "--continue")
    assert len(set(store.names()) - set(before)) == 4
    cli("sign", "root", path).good()
    cli("publish", "root", path).good()
    cli.publish({"site": {"id": "late"}})
    assert cli("status", "-o", "json").good().json["fork_risk"] is None
    assert cli("verify", "ledger", "-o", "json").good().json["verified"]


def test_draft_of_another_size_is_refused(cli: Cli, tmp_path: Path) -> None:
    path = draft(cli, tmp_path / "root-2.json", "--continue")
    cli.publish({"site": {"id": "meanwhile"}})
    cli("sign", "root", path).good()
    refused = cli("publish", "root", path)
    assert (refused.code, "continues a log of" in refused.err) == (5, True)
