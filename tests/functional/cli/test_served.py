"""A network with a master, from the command line: real processes, real TLS, homes of their own."""

from __future__ import annotations

import base64
import json
import re
import select
import shutil
import ssl
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.support.command import PROGRAM, Cli, clean
from tests.support.live import Server
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


def invited(network: LiveNetwork, name: str, kind: str) -> Path:
    """Invite a member; return the file of its token."""
    path = network.folder / f"{name}.token"
    Cli(network.home)("create", "invite", name, "--type", kind, "--out", str(path)).good()
    return path


def joined(network: LiveNetwork, name: str, kind: str = "node") -> Cli:
    """Let a member join; return the commands of its home."""
    cli = Cli(network.folder / name)
    cli("join", f"@{invited(network, name, kind)}").good()
    return cli


@pytest.fixture(scope="module")
def node(network: LiveNetwork) -> Cli:
    """A node that joined by the command line."""
    return joined(network, "node-1")


def test_an_invite_is_private_and_lets_one_in_once(network: LiveNetwork, admin: Cli) -> None:
    path = invited(network, "once", "node")
    assert path.stat().st_mode & 0o777 == 0o600
    (open_invite,) = [one for one in admin("get", "invites", "-o", "json").good().json if one["name"] == "once"]
    assert list(open_invite) == SHAPES["get invites"]
    cli = Cli(network.folder / "once")
    facts = cli("join", f"@{path}", "-o", "json").good().json
    assert list(facts) == SHAPES["join TOKEN"]
    assert (facts["name"], facts["network"]) == ("once", network.network)
    assert "once" not in admin("get", "invites").out
    again = Cli(network.folder / "twice")("join", "-", stdin=path.read_bytes())
    assert (again.code, "was used, revoked or has expired" in again.err) == (3, True)
    assert (cli("join", f"@{path}").code, "already" in cli("join", f"@{path}").err) == (2, True)


def test_an_invite_goes_to_stdout_and_into_a_new_file_only(network: LiveNetwork, admin: Cli, tmp_path: Path) -> None:
    assert admin("create", "invite", "shown", "--type", "user").good().out.startswith("metaledger-join-1.")
    taken = tmp_path / "taken"
    taken.write_text("mine")
    ran = admin("create", "invite", "lost", "--type", "user", "--out", str(taken))
    assert (ran.code, taken.read_text()) == (5, "mine")
    assert "lost" not in admin("get", "invites").out
    ran = admin("create", "invite", "No Name", "--type", "user", "--out", str(tmp_path / "never"))
    assert (ran.code, (tmp_path / "never").exists()) == (2, False)


def test_a_home_in_use_is_not_joined_into(network: LiveNetwork, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    ran = Cli(tmp_path)("join", f"@{invited(network, 'guest', 'user')}")
    assert (ran.code, "thesis.txt" in ran.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_policy_travels_from_one_node_to_another(network: LiveNetwork, node: Cli, admin: Cli, tmp_path: Path) -> None:
    (made,) = node.publish({"site": {"id": "bern", "name": "Bern"}}, words=("--receipt-dir", str(tmp_path), "--wait"))
    assert (made["result"], "bern" in node("get", "site", "-o", "id").out.splitlines()) == ("published", True)
    other = joined(network, "node-2")
    assert other("get", "policy", "bern").good().json["site"]["name"] == "Bern"
    assert other("history", "bern", "-o", "json").json[0]["by"] == "node-1"
    assert other("verify", "receipt", str(tmp_path / "bern.tlog-proof"), "-o", "json").good().json["id"] == "bern"
    assert other("patch", "policy", "bern", '{"name": "x"}').code == 3
    node("sync").good()
    assert len({cli("verify", "ledger", "-o", "json").good().json["state_root"] for cli in (node, admin)}) == 1


def test_unchanged_is_said_of_the_ledger_and_not_of_an_old_copy(network: LiveNetwork, node: Cli, admin: Cli) -> None:
    node.publish({"site": {"id": "nice", "n": 1}}, words=("--wait",))
    admin("patch", "policy", "nice", '{"n": 2}').good()
    (again,) = node.publish({"site": {"id": "nice", "n": 1}})
    assert again["result"] == "published"
    assert admin("get", "policy", "nice").json["site"]["n"] == 1


def test_a_lagging_node_follows_the_version_that_came_first(network: LiveNetwork, node: Cli, admin: Cli) -> None:
    node.publish({"site": {"id": "lyon", "n": 1}}, words=("--wait",))
    admin("patch", "policy", "lyon", '{"n": 2}').good()
    (late,) = node.publish({"site": {"id": "lyon", "n": 3}})
    assert late["result"] == "published"
    assert [version["body"]["n"] for version in admin("history", "lyon", "-o", "json").json] == [1, 2, 3]


def test_a_sync_says_what_it_cost_and_an_idle_one_is_one_request(node: Cli, admin: Cli) -> None:
    admin.publish(*({"site": {"id": f"many-{n}", "text": "x" * 400}} for n in range(100)))
    facts = node("sync", "-o", "json").good().json
    assert (facts["entries"] >= 100, facts["by_agent"]) == (True, False)
    assert facts["bytes"] < facts["entries"] * 900  # an entry of these is over 1,000 bytes; zstd is at work
    idle = node("sync", "-o", "json").good().json
    assert (idle["entries"], idle["requests"]) == (0, 1)
    assert idle["bytes"] < 1_000


def test_a_receipt_of_what_this_copy_has_not_seen_yet(node: Cli, admin: Cli) -> None:
    admin.publish({"site": {"id": "unseen"}})
    receipt = node("get", "receipt", "unseen").good().raw
    assert node("verify", "receipt", "-", "-o", "json", stdin=receipt).good().json["id"] == "unseen"


def test_a_service_reads_and_may_not_write(network: LiveNetwork) -> None:
    service = joined(network, "meter", "service")
    assert service("get", "member", "where", "name", "=", "meter", "-o", "json").good().json
    ran = service("publish", "policy", "-", stdin='{"site": {"id": "mine"}}')
    assert (ran.code, ran.raw) == (3, b"")


def test_a_token_opens_the_routes_of_the_server(network: LiveNetwork, node: Cli) -> None:
    token = node("create", "token").good().out.strip()
    context = ssl.create_default_context(cafile=str(node.home / "tls" / "ca.pem"))
    request = urllib.request.Request(f"{network.url}/v1/policies?kind=member", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        assert json.load(answer)["policies"]
    short = node("create", "token", "--ttl", "30s").good().out.strip()
    claims = json.loads(base64.urlsafe_b64decode(short.split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 30
    assert [node("create", "token", "--ttl", ttl).code for ttl in ("16m", "0s", "soon")] == [2, 2, 2]
    assert node("create", "token", "--scope", "operate").code == 3
    assert node("create", "token", "--scope", "all").code == 2


def test_status_of_all_kinds_of_homes(node: Cli, admin: Cli) -> None:
    node("sync").good()
    for cli, role in ((node, "node"), (admin, "master")):
        facts = cli("status", "-o", "json").good().json
        assert (facts["state"], facts["role"], facts["alarms"]) == ("ok", role, [])
        assert facts["ledger_size"] == facts["size"]


def test_watch_shows_a_change_of_its_kind_and_leaves_the_home_free(node: Cli, admin: Cli) -> None:
    words = [*PROGRAM, "--home", str(node.home), "watch", "lamp", "where id startswith lamp- and exists bright", "-o", "jsonl"]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean({}), text=True)
    try:
        assert watching.stdout is not None
        deadline = time.monotonic() + 20
        seen: list[str] = []
        while not seen and time.monotonic() < deadline:  # what it shows is what comes after it began
            admin.publish(
                {"lamp": {"id": f"lamp-{time.monotonic_ns()}", "bright": 1}}, {"lamp": {"id": "lamp-dark"}}, {"site": {"id": "other"}}
            )
            time.sleep(0.5)
            assert node("sync").code == 0
            seen = _ready_lines(watching)
        change = json.loads(seen[0])
        assert list(change) == ["index", "op", "effect", "kind", "id", "policy"]
        assert (change["kind"], change["op"], change["effect"]) == ("lamp", "put", "enter")
    finally:
        watching.terminate()
        watching.communicate(timeout=20)


def _ready_lines(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline()] if select.select([process.stdout], [], [], 0)[0] else []


def test_sync_beside_an_agent_asks_the_agent(network: LiveNetwork, admin: Cli) -> None:
    cli = joined(network, "agent-1")
    agent = network.start_node(cli.home, poll=600.0)
    try:
        admin.publish({"site": {"id": "for-the-agent"}})
        facts = cli("sync", "-o", "json").good().json
        assert facts["by_agent"] is True
        assert cli("get", "policy", "for-the-agent").code == 0
        assert cli.publish({"site": {"id": "beside-the-agent"}}, words=("--wait",))[0]["result"] == "published"
        assert cli("get", "policy", "beside-the-agent").code == 0
    finally:
        agent.stop()


def test_a_foreign_ledger_is_verified_into_a_copy_that_is_not_kept(network: LiveNetwork, node: Cli) -> None:
    url = network.url.replace("127.0.0.1", "localhost")
    before = node("show", "checkpoint", "-o", "json").json["size"]
    assert node("get", "member", "-o", "json", "--ledger", url).good().json
    facts = node("sync", "-o", "json", "--ledger", url).good().json
    assert (facts["size"] >= before, "is not kept" in facts["notes"][0]) == (True, True)


def test_exit_4_when_nobody_answers_and_reads_go_on(mortal: LiveNetwork) -> None:
    admin, node = Cli(mortal.home), joined(mortal, "node-1")
    node.publish({"site": {"id": "bern"}}, words=("--wait",))
    mortal.master.stop()
    assert node("get", "site", "-o", "id").code == 0
    assert node("verify", "ledger").code == 0
    receipt = node("get", "receipt", "bern").good().raw
    assert node("verify", "receipt", "-", stdin=receipt).code == 0
    for words in (
        ["sync"],
        ["publish", "policy", "-"],
        ["patch", "policy", "bern", "{}"],
        ["create", "token"],
        ["get", "receipt", "0" * 64],
    ):
        ran = node(*words, stdin='{"site": {"id": "x"}}')
        assert (ran.code, ran.raw) == (4, b""), words
        assert re.search(r"error: .*cannot connect to https://127\.0\.0\.1", ran.err)
    status = node("status", "-o", "json")
    assert (status.code, status.json["state"]) == (4, "unreachable")
    status = admin("status", "-o", "json")
    assert (status.code, "run master" in status.json["advice"]) == (4, True)
    time.sleep(1.1)  # ages are in whole seconds
    assert node("get", "site", "--max-age", "0").code == 4


def test_a_split_view_is_exit_5_with_evidence(mortal: LiveNetwork) -> None:
    admin, node = Cli(mortal.home), joined(mortal, "node-1")
    mortal.master.stop()
    twin = Server("master", shutil.copytree(mortal.home, mortal.folder / "twin"))
    mortal.master.restart()
    admin.publish({"site": {"id": "told-to-some"}})
    node("sync").good()
    mortal.master.stop()
    twin.start(mortal.url.removeprefix("https://"))
    try:
        Cli(twin.home).publish({"site": {"id": "told-to-others"}}, {"site": {"id": "and-more"}})
        ran = node("sync")
        assert (ran.code, ran.raw) == (5, b"")
        assert "[split-view]" in ran.err
        assert list((node.home / "evidence").glob("*.json"))
        status = node("status", "-o", "json")
        assert (status.code, status.json["state"], status.json["alarms"][0]["kind"]) == (5, "alarm", "split-view")
        assert node("get", "policy", "told-to-some").code == 0
    finally:
        twin.stop()
