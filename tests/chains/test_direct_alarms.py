"""A chain that breaks what it called final, or a contract that is another one: nothing is taken, and there is a way out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chain_homes import configure
from tests.support.direct_story import lying

if TYPE_CHECKING:
    from tests.support.direct_story import DirectStory

WHY = "the chain was set up again; Anna and Ben agree"


@pytest.fixture
def reader(story: DirectStory) -> str:
    """A home that only reads, for which a block is final when one stands on it; it has read two sites."""
    story.read_only("reader")
    configure(story.home("reader").path, confirmations=1)
    for name in ("Oslo", "Bergen"):
        story.publish("admin", name).good()
    story.call("anvil_mine", "0x3")
    story("reader", "sync").good()
    assert story.status("reader")["chain"]["final_size"] == story.founded.size + 2
    return "reader"


def test_a_final_block_that_goes_stops_a_reader_until_the_operator_decides(story: DirectStory, reader: str) -> None:
    story.call("anvil_reorg", 4, [])
    refused = story(reader, "sync")
    assert (refused.code, "was final" in refused.err) == (1, True), refused.err
    assert sorted(story.sites(reader)) == ["Bergen", "Oslo"]  # answers go on
    said = story(reader, "status", "-o", "json")
    assert (said.code, said.json["state"], "was final" in said.json["ledger_error"]) == (4, "unreachable", True)
    assert "--accept-chain" in said.json["advice"]
    assert story(reader, "sync", "--accept-chain", " ").code == 2
    done = story(reader, "sync", "--accept-chain", WHY, "-o", "json").good().json
    assert done["size"] == story.founded.size + 1
    assert story.sites(reader) == ["Oslo"]
    assert story(reader, "status", "-o", "json").good().json["ledger_error"] is None
    story.publish("admin", "Voss").good()
    story(reader, "sync").good()
    assert "Voss" in story.sites(reader)


def test_a_branch_in_place_of_what_was_final_is_taken_once_the_operator_decided(story: DirectStory, reader: str) -> None:
    story.call("anvil_rollback", 4)
    for name in ("Molde", "Narvik", "Tromso", "Vadso", "Hamar"):
        story.publish("admin", name).good()
    refused = story(reader, "sync")
    assert (refused.code, "was final" in refused.err) == (1, True), refused.err
    done = story(reader, "sync", "--accept-chain", WHY, "-o", "json").good().json
    assert done["size"] == story.status("admin")["size"]
    assert sorted(story.sites(reader)) == sorted(story.sites("admin"))


def test_providers_that_differ_about_what_is_final_are_an_alarm_that_names_both(story: DirectStory, reader: str) -> None:
    def another_branch(method: str, params: list[Any], result: Any) -> Any:
        is_other = method == "eth_getBlockByNumber" and params[0] != "0x0"
        return {**result, "hash": "0x" + "77" * 32} if is_other and result else result

    with lying(story, another_branch) as url:
        configure(story.home(reader).path, sources=[url])
        refused = story(reader, "sync")
        assert (refused.code, "providers differ" in refused.err) == (5, True), refused.err
        assert all(one.rpartition("/")[0].removeprefix("ethereum+") in refused.err for one in (url, story.contract.ledger))
        said = story(reader, "status", "-o", "json")
        assert (said.code, said.json["state"], "--accept-chain" in said.json["advice"]) == (5, "alarm", True)
    configure(story.home(reader).path, sources=[])
    assert story(reader, "sync").code == 5  # the alarm stays, whoever answers now
    story(reader, "sync", "--accept-chain", WHY).good()
    assert sorted(story.sites(reader)) == ["Bergen", "Oslo"]
    assert story(reader, "status", "-o", "json").good().json["state"] == "ok"


def test_another_contract_at_the_address_is_refused_and_the_copy_answers_on(story: DirectStory, reader: str) -> None:
    code = story.call("eth_getCode", story.contract.address, "latest")
    story.call("anvil_setCode", story.contract.address, "0x6001600155")
    refused = story(reader, "sync")
    assert (refused.code, "is another contract" in refused.err or "code is another" in refused.err) == (1, True), refused.err
    assert "Compare the address and the chain" in refused.err
    assert sorted(story.sites(reader)) == ["Bergen", "Oslo"]
    story.call("anvil_setCode", story.contract.address, code)
    story(reader, "sync").good()


def test_what_is_on_no_chain_has_nothing_to_accept(story: DirectStory) -> None:
    made = story("plain", "create", "network", "plain", "--url", f"sqlite://{story.folder}/plain/ledger.db")
    assert made.code == 0, made.err
    refused = story("plain", "sync", "--accept-chain", WHY)
    assert (refused.code, "on no chain" in refused.err) == (2, True)
    assert json.loads(story("plain", "sync", "-o", "json").good().out)["size"] > 0
