"""A member gets another key, from the command line, in a live network: nothing that it signed is lost and its agent goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from auth.pki import load_chain
from ledger.home.home import Home
from tests.functional.cli.test_revoking import joined
from tests.support.live import Server, reaches
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from tests.support.command import Cli
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())


def test_a_member_with_a_new_key_goes_on_and_its_old_statements_stay_true(network: LiveNetwork, admin: Cli) -> None:
    member = joined(network, "changer")
    home = Home(member.home)
    member.publish({"site": {"id": "before", "name": "Oslo"}})
    old = KeyStore(home.keys).load("member").public
    certificate = load_chain(home.certificate_file.read_bytes())[0]
    facts = member("rotate", "key", "-o", "json").good().json
    assert list(facts) == SHAPES["rotate key"]
    new = KeyStore(home.keys).load("member").public
    assert (facts["name"], facts["before"], facts["key"]) == ("changer", old.text, new.text)
    assert old != new
    assert sorted(KeyStore(home.keys).names()) == sorted(["member", f"member.{old.keyid[:16]}"])
    member.publish({"site": {"id": "after", "name": "Bern"}})
    authors = {name: admin("history", name, "-o", "json").json[0]["by"] for name in ("before", "after")}
    assert authors == {"before": "changer", "after": "changer"}
    assert admin("verify", "ledger", "-o", "json").good().json["verified"]
    renewed = load_chain(home.certificate_file.read_bytes())[0]
    assert renewed.serial_number != certificate.serial_number
    assert facts["certificate_expires"] == int(renewed.not_valid_after_utc.timestamp())


def test_the_old_key_signs_nothing_more(network: LiveNetwork) -> None:
    member = joined(network, "former")
    store = KeyStore(Home(member.home).keys)
    old = store.load("member")
    member("rotate", "key").good()
    store.path("member").unlink()
    store.store("member", old)
    assert member("publish", "policy", "-", stdin='{"site": {"name": "Bern"}}').code == 3


@pytest.mark.parametrize("sent", [True, False])
def test_a_rotation_that_was_stopped_is_finished_by_doing_it_again(network: LiveNetwork, sent: bool) -> None:
    member = joined(network, f"stopped-{sent}".lower())
    store = KeyStore(Home(member.home).keys)
    old = store.load("member")
    if sent:  # the ledger has the new key, the home still uses the old one
        member("rotate", "key").good()
        store.path("member").rename(store.path("member-next"))
        store.store("member", old)
    else:
        store.create("member-next")
    coming = store.load("member-next").public.text
    assert member("rotate", "key", "-o", "json").good().json["key"] == coming
    assert store.load("member").public.text == coming
    assert not store.has("member-next")
    assert member("sync").code == 0


def test_a_running_agent_takes_the_new_key_up(network: LiveNetwork, admin: Cli) -> None:
    member = joined(network, "agent")
    agent = Server("node", member.home)
    agent.start()
    try:
        member("rotate", "key").good()
        (made,) = admin.publish({"site": {"name": "Zug"}})
        asyncio.run(reaches(member.home, made["index"] + 1))
        assert agent.running
    finally:
        agent.kill()


def test_the_masters_own_member_gets_a_new_key_too(network: LiveNetwork, admin: Cli) -> None:
    before = KeyStore(Home(network.home).keys).load("server").public.text
    facts = admin("rotate", "key", "--server", "-o", "json").good().json
    assert (facts["name"], facts["before"], facts["certificate_expires"]) == ("master", before, None)
    admin("rotate", "key").good()
    admin.publish({"site": {"name": "Basel"}})


def test_the_member_of_an_embedded_ledger_gets_a_new_key(cli: Cli) -> None:
    cli("rotate", "key").good()
    (made,) = cli.publish({"site": {"name": "Thun"}})
    assert made["result"] == "published"
    assert cli("rotate", "key", "--server").code == 1
