"""The local queue, from the command line: kept while the master is away, shown, delivered once, refused with a reason."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.command import PROGRAM, Cli, clean
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


@pytest.fixture
def node(own_network: LiveNetwork) -> Cli:
    """A node of a network of its own, whose master the test may stop."""
    return Cli(asyncio.run(own_network.join("node-1")))


@pytest.fixture
def admin_cli(own_network: LiveNetwork) -> Cli:
    return Cli(own_network.home)


def queue(cli: Cli, *policies: object) -> list[Any]:
    """Publish with --queue; return what `-o json` says."""
    ran = cli("publish", "policy", "-", "--queue", "-o", "json", stdin="\n".join(json.dumps(one) for one in policies)).good()
    if any(one["result"] == "queued" for one in ran.json):
        assert "queued, not published" in ran.err
    found: list[Any] = ran.json
    return found


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def results(found: list[Any]) -> list[str]:
    return [one["result"] for one in found]


def test_without_queue_nothing_is_kept(own_network: LiveNetwork, node: Cli) -> None:
    own_network.master.stop()
    ran = node("publish", "policy", "-", stdin='{"site": {"id": "bern"}}')
    assert (ran.code, ran.raw) == (4, b"")
    assert node("get", "operations", "-o", "json").good().json == []


def test_what_is_queued_is_kept_shown_and_delivered_once(own_network: LiveNetwork, node: Cli, admin_cli: Cli) -> None:
    (known,) = node.publish({"site": {"id": "oslo", "n": 1}}, words=("--wait",))
    own_network.master.stop()
    found = queue(node, {"site": {"id": "bern", "n": 1}}, {"site": {"id": "oslo", "n": 2}}, {"site": {"id": "bern", "n": 2}})
    assert results(found) == ["queued"] * 3
    assert list(found[0]) == [*SHAPES["publish policy FILE"], "operation"]
    assert results(queue(node, {"site": {"id": "bern", "n": 2}})) == ["queued"]  # says what the queue says already

    listed = node("get", "operations", "-o", "json").good().json
    assert list(listed[0]) == SHAPES["get operations"]
    assert [(one["id"], one["state"], one["digest"]) for one in listed] == [(one["id"], "queued", one["digest"]) for one in found]
    assert "cannot connect" in listed[0]["reason"]
    shown = {one["site"]["id"]: one["site"] for one in node("get", "site", "--local", "-o", "json").good().json}
    assert {name: (one["n"], one["ledger"]) for name, one in shown.items()} == {"bern": (2, "local"), "oslo": (2, "local")}
    assert node("get", "policy", "bern", "--local").good().json["site"]["ledger"] == "local"
    assert node("get", "site", "where", "ledger", "=", "local", "--local", "-o", "id").out == "bern\noslo\n"
    assert node("get", "all", "--local", "-o", "id").good().out.splitlines().count("bern") == 1
    assert node("get", "site", "-o", "json").json[0]["site"]["n"] == 1
    assert (node("get", "policy", "bern").code, node("get", "site", "--local", "--at", "3").code) == (1, 2)

    own_network.master.restart()
    facts = node("sync", "-o", "json").good().json
    assert facts["notes"][0] == "3 operations delivered from the queue"
    assert facts["entries"] >= 3
    assert {one["site"]["n"] for one in node("get", "site", "--local", "-o", "json").json} == {2}
    assert [(one["op"], one["digest"]) for one in node("history", "bern", "-o", "json").json] == [
        ("put", found[0]["digest"]),
        ("put", found[2]["digest"]),
    ]
    assert [one["digest"] for one in node("history", "oslo", "-o", "json").json] == [known["digest"], found[1]["digest"]]
    assert node("get", "operations", "-o", "json").json == []
    assert [one["state"] for one in node("get", "operations", "--all", "-o", "json").json] == ["final"] * 3
    assert node("get", "receipt", found[2]["digest"]).good().raw.startswith(b"c2sp.org/tlog-proof@v1")
    assert node("sync", "-o", "json").good().json["notes"] == []


def test_with_the_master_there_the_queue_is_a_publish(own_network: LiveNetwork, node: Cli, admin_cli: Cli) -> None:
    (first,) = queue(node, {"site": {"id": "rome", "n": 1}})
    assert (first["result"], isinstance(first["index"], int)) == ("published", True)
    assert results(queue(node, {"site": {"id": "rome", "n": 1}})) == ["published"]  # the copy does not show it yet
    node("sync").good()
    assert results(queue(node, {"site": {"id": "rome", "n": 1}})) == ["unchanged"]
    admin_cli("patch", "policy", "rome", '{"n": 2}').good()
    assert results(queue(node, {"site": {"id": "rome", "n": 3}})) == ["published"]  # another version came first: it follows that one
    assert [one["body"]["n"] for one in admin_cli("history", "rome", "-o", "json").json] == [1, 2, 3]
    refused = node("publish", "policy", "-", "--queue", "-o", "json", stdin='{"permissions": {"id": "p"}}')
    assert refused.code == 3
    foreign = node("publish", "policy", "-", "--queue", "--ledger", own_network.url.replace("127.0.0.1", "localhost"), stdin='{"site": {}}')
    assert (foreign.code, "for its own ledger" in foreign.err) == (2, True)
    assert node("publish", "policy", "-", "--queue", "--dry-run", stdin='{"site": {}}').code == 2
    assert node("get", "operations", "-o", "json").json == []


def test_refusals_become_dead_letters_that_can_be_retried_or_dropped(own_network: LiveNetwork, node: Cli, admin_cli: Cli) -> None:
    node.publish({"site": {"id": "wien", "n": 1}}, words=("--wait",))
    own_network.master.stop()
    kept = queue(node, {"site": {"id": "wien", "n": 2}}, {"site": {"id": "graz", "n": 1}}, {"site": {"id": "linz"}})
    first, second, third = [str(one["operation"]) for one in kept]
    gone = node("drop", "operation", third, "-o", "json").good().json
    assert (list(gone), gone["state"]) == (SHAPES["drop operation NUMBER"], "dropped")
    assert (node("drop", "operation", third).code, node("retry", "operation", third).code) == (1, 1)
    assert node("retry", "operation", "x").code == 2
    ran = node("retry", "operation", first, "-o", "json").good()
    assert (results(ran.json), "queued, not published" in ran.err) == (["queued"], True)
    own_network.master.restart()
    admin_cli("patch", "policy", "wien", '{"n": 7}').good()
    ran = node("publish", "policy", "-", "-o", "json", stdin='{"site": {"id": "trier"}}').good()
    assert results(ran.json) == ["published"]
    assert "1 operation delivered from the queue\n1 operation refused: see `ledger-cli get operations`" in ran.err
    (dead,) = node("get", "operations", "-o", "json").json
    assert (dead["state"], dead["id"], dead["reason"].endswith("[version-mismatch]")) == ("dead", "wien", True)
    assert node("retry", "operation", second).code == 5  # it is delivered

    (again,) = node("retry", "operation", first, "-o", "json").good().json
    assert list(again) == SHAPES["retry operation NUMBER"]
    assert (again["result"], again["digest"] != dead["digest"]) == ("published", True)
    assert [one["body"]["n"] for one in admin_cli("history", "wien", "-o", "json").json] == [1, 7, 2]
    assert node("drop", "operation", first).code == 5
    assert node("get", "operations", "-o", "json").json == []


def test_a_refusal_of_who_asks_is_a_dead_letter_too(own_network: LiveNetwork, node: Cli, admin_cli: Cli) -> None:
    own_network.master.stop()
    queue(node, {"site": {"id": "bern"}}, {"site": {"id": "genf"}})
    own_network.master.restart()
    (member,) = [one["member"]["id"] for one in admin_cli("get", "member", "where", "name", "=", "node-1", "-o", "json").json]
    admin_cli("drop", "policy", member, "--as-root").good()
    assert node("sync").code == 3
    listed = node("get", "operations", "-o", "json").good().json
    assert [one["state"] for one in listed] == ["dead", "dead"]
    assert all("[" in one["reason"] for one in listed)
    assert node("drop", "operation", "1").good().err.endswith("until bern has another version\n")


def test_the_agent_delivers_when_the_master_is_back(own_network: LiveNetwork, node: Cli) -> None:
    agent = own_network.start_node(node.home, poll=0.2)
    own_network.master.stop()
    (kept,) = queue(node, {"site": {"id": "bern", "n": 1}})
    agent.kill()
    agent.restart()

    def states() -> list[str]:
        return [one["state"] for one in node("get", "operations", "-o", "json").good().json]

    wait_until(lambda: states() == ["queued"])  # sent for as long as the agent tries
    own_network.master.restart()

    wait_until(lambda: node("get", "policy", "bern").code == 0)
    (version,) = node("history", "bern", "-o", "json").json
    assert version["digest"] == kept["digest"]
    assert node("get", "operations", "-o", "json").json == []
    (said,) = agent.events("delivered")
    assert (said["digest"], said["operation"]) == (kept["digest"], 1)


def test_an_interrupted_publish_loses_nothing_that_is_queued(own_network: LiveNetwork, node: Cli, admin_cli: Cli) -> None:
    """The master accepts connections and says nothing, so the command waits for an answer when Ctrl-C comes."""
    process = own_network.master._process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        words = [*PROGRAM, "--home", str(node.home), "publish", "policy", "-", "--queue"]
        command = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=clean({}))
        assert command.stdin is not None
        command.stdin.write(b'{"site": {"id": "bern"}}')
        command.stdin.close()
        wait_until(lambda: bool(node("get", "operations", "-o", "json").good().json))
        command.send_signal(signal.SIGINT)
        assert command.wait(20) == 130
        assert command.stderr is not None
        command.stderr.close()
    finally:
        process.send_signal(signal.SIGCONT)
    (kept,) = node("get", "operations", "-o", "json").good().json
    assert kept["state"] in ("queued", "sent")
    node("sync").good()
    assert [one["digest"] for one in admin_cli("history", "bern", "-o", "json").json] == [kept["digest"]]
