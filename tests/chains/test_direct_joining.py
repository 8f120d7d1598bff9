"""Joining a network that a chain orders, and everything a newcomer does there, by commands alone; nodes that serve its state."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from eth_account import Account as EthAccount

from auth.tls import client_context
from ledger.home.home import Home
from tests.support.chain_homes import PHRASE, configure, write_account
from tests.support.command import Cli
from tests.support.direct_story import wait_for
from tests.support.live import Server, reaches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.direct_story import DirectStory


SECOND = "0x" + "5e" * 32


def test_who_only_reads_needs_the_id_and_the_url(story: DirectStory) -> None:
    story.publish("admin", "Oslo").good()
    words = ("join", "--network", story.founded.network, "--ledger", story.contract.ledger, "-o", "json")
    joined = story("reader", *words).good().json
    assert (joined["network"], joined["name"], joined["size"]) == (story.founded.network, None, story.founded.size + 1)
    assert not list(Home(story.folder / "reader").keys.iterdir())
    assert story.sites("reader") == ["Oslo"]
    story.publish("admin", "Bergen").good()
    assert story("reader", "sync", "-o", "json").good().json["entries"] == 1
    assert story("reader", "status", "-o", "json").good().json["state"] == "ok"
    refused = story.publish("reader", "Voss")
    assert (refused.code, "no member key" in refused.err) == (3, True)
    again = story("reader", *words)
    assert (again.code, "is the home of an identity already" in again.err) == (2, True)


def test_a_member_joins_with_an_account_and_writes(story: DirectStory) -> None:
    story.call("anvil_setBalance", EthAccount.from_key(SECOND).address, hex(10**19))
    token, account = story.invite("anna", "user"), write_account(story.folder / "anna.key", SECOND)
    joined = story("anna", "join", token, "--account", str(account), "-o", "json").good().json
    assert (joined["name"], Home(story.folder / "anna").read_config()["role"]) == ("anna", "member")
    story.publish("anna", "Oslo").good()
    story("admin", "sync").good()
    assert story.sites("admin") == ["Oslo"]
    operations = story("anna", "get", "operations", "-o", "json").good().json
    assert [(one["state"], one["kind"]) for one in operations] == [("included", "member"), ("included", "site")]
    again = story("second", "join", token, "--account", str(account))
    assert (again.code, "the invite was used or revoked" in again.err) == (3, True)


def test_a_member_without_an_account_is_brought_in_by_another(story: DirectStory) -> None:
    token, paper, home = story.invite("node-1", "node"), story.folder / "node-1.json", Home(story.folder / "node-1")
    alone = story("node-1", "join", token)
    assert (alone.code, "--account" in alone.err, home.exists) == (1, True, False)
    handed = story("node-1", "join", token, "--out", str(paper)).good()
    assert (handed.out, "ledger-cli submit" in handed.err, home.exists) == ("", True, False)
    story("admin", "submit", str(paper)).good()
    joined = story("node-1", "join", token, "-o", "json").good().json
    assert (joined["name"], home.read_config()["role"]) == ("node-1", "node")
    assert story("node-1", "get", "operations", "-o", "json").good().json == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "there is no token"),
        (("--network", "ID"), "there is no token"),
        (("--network", "12", "--ledger", "URL"), "64 hex digits"),
        (("--network", "ID", "--ledger", "https://127.0.0.1:9"), "a server lets in by a token alone"),
        (("--network", "ID", "--ledger", "URL", "--name", "here"), "there is no token"),
    ],
)
def test_a_join_that_cannot_be_is_said(tmp_path: Path, words: tuple[str, ...], says: str) -> None:
    given = [{"ID": "ab" * 32, "URL": "ethereum+http://127.0.0.1:9/0x" + "12" * 20}.get(one, one) for one in words]
    done = Cli(tmp_path / "home")("join", *given)
    assert (done.code, says in done.err) == (2, True), done.err
    assert not (tmp_path / "home").exists()


@pytest.fixture
def node(story: DirectStory) -> Iterator[Server]:
    """The agent of a home that only reads, told to hand on the log."""
    story.read_only("reader")
    one = Server("node", story.folder / "reader", "--relay")
    one.start()
    yield one
    one.kill()


def test_a_node_serves_the_state_with_a_certificate_of_its_own(story: DirectStory, node: Server) -> None:
    story.publish("admin", "Oslo").good()
    asyncio.run(reaches(node.home, story.founded.size + 1))
    status, answer = asked(node, "/v1/policies?q=site")
    assert (status, answer["policies"][0]["site"]["name"]) == (200, "Oslo")
    for path in ("/v1/entries?start=0", "/v1/watch", "/tile/entries/000.p/1"):
        status, answer = asked(node, path)
        assert (status, answer["code"], "a chain orders" in answer["detail"]) == (501, "unsupported", True)
    status, answer = asked(node, "/checkpoint")
    assert (status, answer["code"]) == (404, "not-found")
    assert story("reader", "sync", "-o", "json").good().json["size"] == story.founded.size + 1  # the agent is asked
    assert story.sites("reader") == ["Oslo"]
    story.call("anvil_reorg", 1, [])
    wait_for(lambda: not asked(node, "/v1/policies?q=site")[1]["policies"], "the node goes back")
    before = Home(node.home).certificate_file.read_bytes()
    story("reader", "rotate", "certificate", "--name", "node.example").good()
    assert Home(node.home).certificate_file.read_bytes() != before
    wait_for(lambda: bool(node.events("certificate-loaded")), "the new certificate is taken up")
    assert asked(node, "/v1/policies?q=site")[0] == 200


def asked(node: Server, path: str) -> tuple[int, dict[str, Any]]:
    """Ask a node with the token of its machine; only the CA of its home is trusted."""
    context = client_context(Home(node.home).ca_file.read_bytes())
    headers = {"Authorization": f"Bearer {node.api_token}"}

    async def ask() -> tuple[int, dict[str, Any]]:
        async with aiohttp.ClientSession() as session, session.get(node.url + path, headers=headers, ssl=context) as reply:
            return reply.status, await reply.json(content_type=None)

    return asyncio.run(ask())


def test_what_a_reorganisation_took_is_sent_again_by_the_next_sync(story: DirectStory) -> None:
    story.publish("admin", "Oslo").good()
    story.call("anvil_reorg", 1, [])
    story.read_only("reader")
    assert story.sites("reader") == []
    for _ in range(3):  # it is sent, stands in a block, is read
        story("admin", "sync").good()
    assert story.sites("admin") == ["Oslo"]
    story("reader", "sync").good()
    assert story.sites("reader") == ["Oslo"]


def test_what_a_reorganisation_took_is_sent_again_by_the_agent_of_its_home(story: DirectStory) -> None:
    story.publish("admin", "Oslo").good()
    configure(story.home("admin").path, passphrase=PHRASE, poll=0.2)
    agent = Server("node", story.home("admin").path)
    agent.start()
    try:
        story.call("anvil_reorg", 1, [])
        story.read_only("reader")
        wait_for(lambda: bool(story("reader", "sync").code == 0 and story.sites("reader")), "Oslo is back")
    finally:
        agent.kill()
