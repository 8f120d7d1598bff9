"""What was signed and sent without an answer is listed until the copy shows what became of it, also after the command was killed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command import PROGRAM, Cli, clean
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


@pytest.fixture
def node(own_network: LiveNetwork) -> Cli:
    return Cli(asyncio.run(own_network.join("node-1")))


@pytest.fixture
def admin(own_network: LiveNetwork) -> Cli:
    return Cli(own_network.home)


def unanswered(node: Cli, policy: object) -> dict[str, Any]:
    """Publish to a silent master and kill the command while it waits; return what is listed then."""
    before = noted(node)
    words = [*PROGRAM, "--home", str(node.home), "publish", "policy", "-"]
    command = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean({}))
    assert command.stdin is not None
    command.stdin.write(json.dumps(policy).encode())
    command.stdin.close()
    deadline = time.monotonic() + 20
    while noted(node) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    command.kill()
    command.wait(20)
    return listed(node)[-1]


def noted(node: Cli) -> int:
    """Return how many operations the journal holds, without the time that a command takes."""
    path = node.home / "journal.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM operation").fetchone()[0])


def listed(node: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node("get", "operations", "-o", "json").good().json
    return found


def test_a_killed_command_leaves_what_it_sent_in_the_list(own_network: LiveNetwork, node: Cli) -> None:
    with own_network.master.silent():
        found = unanswered(node, {"site": {"id": "bern", "n": 1}})
    assert list(found) == SHAPES["get operations"]
    assert (found["state"], found["target"], found["id"], found["attempts"]) == ("sent", "unqueued", "bern", 1)
    assert "no answer" in found["reason"]
    node("sync").good()  # it never arrived, or it did: nobody sends it again by itself
    arrived = node("get", "policy", "bern").code == 0
    assert listed(node) == ([] if arrived else [found])
    (again,) = node("retry", "operation", str(found["operation"]), "-o", "json").good().json if not arrived else [found]
    assert again["digest"] == found["digest"]
    node("sync").good()
    assert (listed(node), len(node("history", "bern", "-o", "json").json)) == ([], 1)


def test_it_is_struck_out_when_its_id_has_moved_on(own_network: LiveNetwork, node: Cli, admin: Cli) -> None:
    node.publish({"site": {"id": "oslo", "n": 1}}, words=("--wait",))
    with own_network.master.silent():
        first = unanswered(node, {"site": {"id": "oslo", "n": 2}})
        own_network.master.kill()  # what it had not read yet, it never reads
    own_network.master.restart()
    node("sync").good()
    assert [one["digest"] for one in listed(node)] == [first["digest"]]
    admin("patch", "policy", "oslo", '{"n": 3}').good()
    assert len(listed(node)) == 1  # the copy does not know yet
    node("sync").good()
    assert listed(node) == []
    assert node("retry", "operation", str(first["operation"])).code == 1


def test_it_can_be_dropped_with_a_warning(own_network: LiveNetwork, node: Cli) -> None:
    with own_network.master.silent():
        found = unanswered(node, {"site": {"id": "bern"}})
        own_network.master.kill()
    gone = node("drop", "operation", str(found["operation"])).good()
    assert "whoever saw this statement can still publish it, until bern has another version" in gone.err
    assert listed(node) == []
    own_network.master.restart()


def test_a_new_key_warns_and_what_the_old_one_signed_can_be_signed_anew(own_network: LiveNetwork, node: Cli) -> None:
    with own_network.master.silent():
        found = unanswered(node, {"site": {"id": "bern", "n": 1}})
        own_network.master.kill()
    own_network.master.restart()
    assert "1 signed statement of this home without an answer may still be taken" in node("rotate", "key").good().err
    node("sync").good()
    (dead,) = listed(node)
    assert (dead["state"], dead["digest"], "key that signed it counts no more" in dead["reason"]) == ("dead", found["digest"], True)
    (again,) = node("retry", "operation", str(dead["operation"]), "-o", "json").good().json
    assert (again["result"], again["digest"] != dead["digest"]) == ("published", True)
    node("sync").good()
    assert (listed(node), node("get", "policy", "bern").good().json["site"]["n"]) == ([], 1)


def test_a_revocation_warns_of_what_this_home_has_no_answer_to(own_network: LiveNetwork, node: Cli, admin: Cli) -> None:
    node.publish({"site": {"id": "oslo"}})
    with own_network.master.silent():
        unanswered(admin, {"site": {"id": "bern"}})
        own_network.master.kill()
    own_network.master.restart()
    assert "1 signed statement of this home without an answer" in admin("revoke", "member", "node-1", "--yes").good().err


def test_answers_leave_nothing_in_the_list(own_network: LiveNetwork, node: Cli) -> None:
    node.publish({"site": {"id": "oslo"}})
    assert node("publish", "policy", "-", "--as-root", stdin='{"site": {"id": "x"}}').code == 3
    assert node("publish", "policy", "-", "--expect", "0" * 64, stdin='{"site": {"id": "oslo", "n": 2}}').code == 5
    own_network.master.stop()
    assert node("publish", "policy", "-", stdin='{"site": {"id": "bern"}}').code == 4
    assert listed(node) == []
    assert node("get", "operations", "--all", "-o", "json").good().json == []
