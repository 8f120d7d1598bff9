"""`status` in a home of a network that a chain orders: what keeps it from reading or writing, in words, each on a real chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode as abi
from eth_account import Account as EthAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from blockchain_adapters.ethereum.rpc import quantity
from ledger.client.client import LedgerClient
from ledger.client.place import Place
from tests.support.anvil import FUNDED, FUNDED_KEY
from tests.support.chain_homes import PHRASE, configure, found
from tests.support.contract import Contract
from tests.support.direct_story import DirectStory, lying
from tests.support.live import eventually
from tests.support.lying_node import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil

STRANGER = "0x" + "11" * 20


@pytest.fixture
async def listed(anvil: Anvil) -> Contract:
    """A contract that only the funded account may write to, and that it owns."""
    return await Contract.deploy(anvil, submitters=[FUNDED])


def test_all_is_well_and_one_provider_is_believed(story: DirectStory) -> None:
    story("admin", "sync").good()
    said = story("admin", "status", "-o", "json")
    assert (said.code, said.json["state"], said.json["advice"]) == (0, "ok", None)
    assert "one provider is believed, nobody compares it" in said.json["chain"]["remarks"]
    account = said.json["account"]
    assert (account["address"], account["allowed"], account["problem"]) == (FUNDED, True, None)
    assert account["nonce"] > 0
    story.read_only("reader")
    assert story.status("reader")["account"] is None


def test_no_funds_are_said(story: DirectStory) -> None:
    story.call("anvil_setBalance", FUNDED, "0x0")
    story("admin", "sync").good()
    said = story("admin", "status", "-o", "json")
    assert (said.code, said.json["account"]["balance"]) == (0, "0 ether")
    assert said.json["account"]["problem"] == f"{FUNDED} has no funds on chain 31337"
    assert "Send funds" in said.json["advice"]
    story.call("anvil_setBalance", FUNDED, hex(10**20))
    story.publish("admin", "Oslo").good()
    assert story.status("admin")["account"]["problem"] is None


def test_a_nonce_gap_is_said(story: DirectStory) -> None:
    nonce = quantity(story.call("eth_getTransactionCount", FUNDED, "latest"))
    _send(story, {"to": STRANGER, "value": 1})
    story.call("evm_setAutomine", False)
    _publish_unanswered(story, "Oslo")
    story.call("anvil_dropAllTransactions")
    story.call("anvil_rollback", 1)
    said = story.status("admin")
    assert said["account"]["problem"] == f"{FUNDED} has no transaction of nonce {nonce}, and ours has nonce {nonce + 1}"
    assert "the nonce that is missing" in said["advice"]


def test_a_nonce_that_somebody_else_used_is_said(story: DirectStory) -> None:
    nonce = quantity(story.call("eth_getTransactionCount", FUNDED, "latest"))
    story.call("evm_setAutomine", False)
    _publish_unanswered(story, "Oslo")
    story.call("anvil_dropAllTransactions")
    _send(story, {"to": STRANGER, "value": 1, "nonce": nonce})
    story.call("evm_mine")
    said = story.status("admin")
    assert said["account"]["problem"] == f"nonce {nonce} of {FUNDED} was used by another transaction than ours"
    assert "sent again when that block is final" in said["advice"]


def test_an_account_that_is_not_on_the_list_is_said(listed: Contract, tmp_path: Path) -> None:
    contract = listed
    story = DirectStory(asyncio.run(found(contract.node, contract, tmp_path)), contract, tmp_path)
    forbid = keccak(text="setSubmitter(address,bool)")[:4] + abi(["address", "bool"], [FUNDED, False])
    _send(story, {"to": contract.address, "data": forbid})
    refused = story.publish("admin", "Oslo")
    assert (refused.code, "may not append" in refused.err) == (3, True), refused.err
    said = story("admin", "status", "-o", "json")
    assert (said.code, said.json["account"]["allowed"]) == (0, False)
    assert "may not append" in said.json["account"]["problem"]
    assert "setSubmitter" in said.json["advice"]


def test_another_chain_is_said_and_the_copy_answers_on(story: DirectStory) -> None:
    story.publish("admin", "Oslo").good()
    with lying(story, lambda method, _params, result: "0x1" if method == "eth_chainId" else result) as url:
        configure(story.home("admin").path, ledger=url)
        said = story("admin", "status", "-o", "json")
        assert (said.code, said.json["state"]) == (4, "unreachable")
        assert "it is on chain 1, not 31337" in said.json["ledger_error"]
        assert story.sites("admin") == ["Oslo"]
        assert story("fresh", "join", "--network", story.founded.network, "--ledger", url).code != 0


def test_a_provider_that_prunes_logs_is_said(story: DirectStory) -> None:
    def prunes(method: str, _params: list[Any], result: Any) -> Any:
        return Refusal(-32000, "history has been pruned for this block") if method == "eth_getLogs" else result

    with lying(story, prunes) as url:
        fresh = story("fresh", "join", "--network", story.founded.network, "--ledger", url)
        assert (fresh.code, "pruned" in fresh.err) == (4, True), fresh.err
        assert "`sources`" in fresh.err


def _publish_unanswered(story: DirectStory, name: str) -> None:
    """Publish while no block comes, and give up waiting once it was sent, as one who presses Ctrl-C does."""

    async def give_up() -> None:
        place = Place.find(story.home("admin").path)
        async with LedgerClient(replace(place, settings=replace(place.settings, passphrase=PHRASE))) as client:
            task = asyncio.create_task(client.publish_one({"site": {"name": name}}))

            async def sent() -> bool:
                return [one["state"] for one in await client.operations() if one["kind"] == "site"] == ["sent"]  # once, not twice

            await eventually(sent, "the statement is sent")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(give_up())


def _send(story: DirectStory, wanted: dict[str, Any]) -> None:
    """Send a transaction of the account that also writes the ledger."""
    fees = {"gas": 1_000_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "value": 0, "type": 2, "chainId": 31_337}
    nonce = quantity(story.call("eth_getTransactionCount", FUNDED, "latest"))
    signed = EthAccount.sign_transaction({"nonce": nonce, **fees, **wanted, "to": to_checksum_address(wanted["to"])}, FUNDED_KEY)
    story.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
