"""The log gets another key while it is served, alone and by a ceremony: what is open signs, and every old receipt holds."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.core.note import parse_note
from ledger.home.home import Home
from tests.functional.cli.test_revoking import joined
from tests.support.meanwhile import served_meanwhile
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Cli
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


@pytest.fixture
def network(mortal: LiveNetwork) -> LiveNetwork:
    """A network for one test: each of these ends with another root than it found."""
    return mortal


def root_in_force(cli: Cli) -> dict[str, object]:
    (found,) = cli("get", "root", "-o", "json").good().json
    body: dict[str, object] = found["root"]
    return body


async def log_lines(network: LiveNetwork) -> int:
    """Return how many lines the served checkpoint has beside that of the clock."""
    async with network.transport() as transport:
        note = parse_note((await transport.get("/checkpoint", private=False)).body)
    return len(note.lines) - 1


async def end_of_checkpoint(network: LiveNetwork) -> bytes:
    async with network.transport() as transport:
        return (await transport.get("/checkpoint", private=False)).body


def test_log_key_is_replaced_under_a_running_master(network: LiveNetwork, admin: Cli, tmp_path: Path) -> None:
    node = joined(network, "node-1")
    node("sync").good()
    (made,) = node.publish({"site": {"id": "early", "name": "Oslo"}}, words=("--receipt-dir", str(tmp_path)))
    old = network.vkey
    (first,) = admin("rotate", "log-key", "--overlap", "-o", "json").good().json
    assert list(first) == SHAPES["rotate log-key"]
    assert (first["version"], first["closed"], len(first["open"]), first["open"][0]) == (2, [], 2, old)
    assert first["index"] > made["index"]
    assert asyncio.run(log_lines(network)) == 2
    node.publish({"site": {"name": "both keys"}})
    (second,) = admin("rotate", "log-key", "-o", "json").good().json
    assert (second["version"], second["closed"], second["open"]) == (3, [old], first["open"][1:])
    node("sync").good()
    node.publish({"site": {"name": "the new key alone"}})
    assert asyncio.run(log_lines(network)) == 1
    assert network.vkey == second["open"][0]
    node("verify", "receipt", str(tmp_path / "early.tlog-proof")).good()
    assert node("verify", "ledger", "-o", "json").good().json["verified"]
    joined(network, "late").publish({"site": {"name": "by one who came after"}})

    shutil.move(Home(network.home).key_file("log"), tmp_path)  # the old key is good for nothing any more
    network.master.stop()
    network.master.restart()
    node.publish({"site": {"name": "after a restart without the old key"}})


def test_nobody_is_refused_while_the_log_key_is_replaced(network: LiveNetwork, admin: Cli) -> None:
    before = network.vkey
    with served_meanwhile(network):
        admin("rotate", "log-key").good()
    assert network.vkey != before


def test_both_roots_come_at_once_where_one_admin_is_enough(network: LiveNetwork, admin: Cli) -> None:
    before = network.vkey
    steps = admin("rotate", "log-key", "-o", "json").good().json
    assert [(len(step["open"]), step["closed"]) for step in steps] == [(2, []), (1, [before])]
    assert network.vkey == steps[1]["open"][0] != before


def test_stolen_log_key_is_closed_at_once_with_a_new_clock_key(network: LiveNetwork, admin: Cli) -> None:
    before = root_in_force(admin)
    clock = before["clock_keys"]
    (step,) = admin("rotate", "log-key", "--stolen", "-o", "json").good().json
    assert (len(step["open"]), len(step["closed"])) == (1, 1)
    after = root_in_force(admin)
    assert isinstance(after["clock_keys"], list)
    assert (len(after["clock_keys"]), after["clock_keys"] != clock) == (1, True)
    admin.publish({"site": {"name": "Aarau"}})
    note = parse_note(asyncio.run(end_of_checkpoint(network)))
    assert len(note.lines) == 2  # one log key, one clock key, both new
    assert admin("status", "-o", "json").json["alarms"] == []
    joined(network, "after-the-theft").publish({"site": {"name": "Chur"}})


def test_admin_in_another_home_signs_the_roots(network: LiveNetwork, admin: Cli, tmp_path: Path) -> None:
    store = KeyStore(Home(network.home).keys)
    elsewhere = type(admin)(tmp_path / "admin")
    KeyStore(Home(elsewhere.home).keys).store("admin", store.load("admin"))
    store.path("admin").unlink()
    refused = admin("rotate", "log-key")
    assert (refused.code, "--out FILE" in refused.err) == (2, True)
    before = len(store.names())
    for number in (1, 2):
        path = str(tmp_path / f"step-{number}.json")
        assert admin("rotate", "log-key", "--out", path, "-o", "json").good().json == []
        elsewhere("sign", "root", path).good()
        admin("publish", "root", path).good()
    assert len(store.names()) == before  # the key made for the first attempt is the one used
    listed = root_in_force(admin)["log_keys"]
    assert isinstance(listed, list)
    assert [one["until"] is None for one in listed].count(True) == 1
    admin.publish({"site": {"name": "Olten"}})


def test_only_the_home_of_the_log_rotates_its_key(network: LiveNetwork) -> None:
    member = joined(network, "no-log", "user")
    assert member("rotate", "log-key").code == 3


def test_log_key_of_an_embedded_ledger_is_replaced(cli: Cli) -> None:
    steps = cli("rotate", "log-key", "-o", "json").good().json
    assert len(steps) == 2
    cli.publish({"site": {"name": "Thun"}})
    assert cli("verify", "ledger", "-o", "json").good().json["verified"]


@pytest.mark.parametrize("kind", ["log", "clock"])
def test_a_file_of_another_key_disturbs_nobody(cli: Cli, kind: str) -> None:
    KeyStore(Home(cli.home).keys).create(f"{kind}-9")
    cli("rotate", "log-key").good()
    cli.publish({"site": {"name": "Thun"}})
