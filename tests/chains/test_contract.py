"""The contract by itself: what it takes, what it refuses and with which error, and that nobody can stop or corrupt it.

It is called through web3, which knows nothing of this project, from accounts that the chain signs for.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi.abi import encode as abi
from eth_utils.crypto import keccak
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError

from blockchain_adapters.codec import encode
from blockchain_adapters.ethereum.artifact import load_artifact
from tests.support.chain_writing import entries_of
from tests.support.contract import Contract
from tests.support.small_network import SmallNetwork
from tests.support.solidity import artifact_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.support.anvil import Anvil

HOSTILE = Path(__file__).with_name("Hostile.sol")
ANYWHERE = 2**64 - 1
ZERO = "0x" + "0" * 40
GAS = 15_000_000


@dataclass
class World:
    """A chain with web3 on it, its accounts, and the contract's interface."""

    w3: AsyncWeb3[Any]
    anvil: Anvil
    accounts: Sequence[Any]
    abi: list[dict[str, Any]]
    code: bytes

    async def deploy(self, submitters: list[str] | None = None, *, by: int = 0) -> Any:
        """Deploy a contract; open unless there are submitters."""
        factory = self.w3.eth.contract(abi=self.abi, bytecode=self.code)
        asked = factory.constructor(submitters is None, submitters or [])
        receipt = await self.w3.eth.wait_for_transaction_receipt(await asked.transact({"from": self.accounts[by]}), poll_latency=0.01)
        return self.w3.eth.contract(address=receipt["contractAddress"], abi=self.abi)

    async def send(self, call: Any, *, by: int = 0) -> Any:
        """Send a call and return its receipt."""
        return await self.w3.eth.wait_for_transaction_receipt(
            await call.transact({"from": self.accounts[by], "gas": GAS}), poll_latency=0.01
        )

    async def refused(self, call: Any, *, by: int = 0) -> str:
        """Return the selector of the error with which the contract refuses a call."""
        with pytest.raises(ContractCustomError) as caught:
            await call.call({"from": self.accounts[by], "gas": GAS})
        return str(caught.value.data)[:10]


def selector(error: str) -> str:
    return "0x" + keccak(text=error)[:4].hex()


WRONG_COUNT = selector("WrongCount(uint64,uint64)")
NOT_SUBMITTER = selector("NotSubmitter(address)")
NOT_OWNER = selector("NotOwner(address)")
TOO_LARGE = selector("TooLarge(uint256,uint256)")
EMPTY = selector("Empty()")


@pytest.fixture
async def world(anvil: Anvil) -> AsyncIterator[World]:
    artifact = await asyncio.to_thread(load_artifact)
    w3 = AsyncWeb3(AsyncHTTPProvider(anvil.url))
    try:
        yield World(w3, anvil, await w3.eth.accounts, artifact.abi, artifact.bytecode)
    finally:
        await w3.provider.disconnect()


def next_head(head: bytes, number: int, submitter: str, claim: tuple[int, int, bytes], texts: tuple[bytes, bytes]) -> bytes:
    """Return the head after a batch, computed apart from the contract."""
    types = ["bytes32", "uint64", "address", "uint64", "uint64", "bytes32", "bytes32", "bytes32"]
    return keccak(abi(types, [head, number, submitter, *claim, *map(keccak, texts)]))


async def test_the_runtime_code_is_the_same_wherever_it_stands(world: World) -> None:
    first = await world.deploy()
    await world.anvil.mine(3)
    second = await world.deploy([world.accounts[1]])
    artifact = await asyncio.to_thread(load_artifact)
    for one in (first, second):
        assert bytes(await world.w3.eth.get_code(one.address)) == artifact.runtime


async def test_the_head_is_a_hash_over_everything_that_came(world: World) -> None:
    ledger = await world.deploy()
    head = keccak(abi(["uint256", "address"], [await world.w3.eth.chain_id, ledger.address]))
    assert (await ledger.functions.status().call())[:2] == [0, head]
    await world.send(ledger.functions.append(ANYWHERE, b"one"))
    await world.send(ledger.functions.anchor(1, 5, 9, b"\3" * 32, b"two", b"note"), by=1)
    receipt = await world.send(ledger.functions.append(2, b"three"), by=2)
    head = next_head(head, 0, world.accounts[0], (0, 0, bytes(32)), (b"one", b""))
    head = next_head(head, 1, world.accounts[1], (5, 9, b"\3" * 32), (b"two", b"note"))
    head = next_head(head, 2, world.accounts[2], (0, 0, bytes(32)), (b"three", b""))
    [event] = ledger.events.Appended().process_receipt(receipt)
    assert dict(event["args"]) == {
        "number": 2, "submitter": world.accounts[2], "head": head, "start": 0, "size": 0, "root": bytes(32), "batch": b"three", "note": b"",
    }  # fmt: skip
    count, now, size, root, _, is_open = await ledger.functions.status().call()
    assert (count, now, size, root, is_open) == (3, head, 9, b"\3" * 32, True)


async def test_the_status_says_where_reading_starts(world: World) -> None:
    await world.anvil.mine(5)
    ledger = await world.deploy()
    assert (await ledger.functions.status().call())[4] == await world.w3.eth.block_number


@pytest.mark.parametrize("expected", [0, 2, 2**64 - 2])
async def test_another_count_than_expected_is_refused(world: World, expected: int) -> None:
    ledger = await world.deploy()
    await world.send(ledger.functions.append(0, b"x"))
    before = await ledger.functions.status().call()
    assert await world.refused(ledger.functions.append(expected, b"y")) == WRONG_COUNT
    assert await world.refused(ledger.functions.anchor(expected, 0, 9, b"\1" * 32, b"y", b"n")) == WRONG_COUNT
    failed = await ledger.functions.anchor(expected, 0, 9, b"\1" * 32, b"y", b"n").transact({"from": world.accounts[0], "gas": GAS})
    assert (await world.w3.eth.wait_for_transaction_receipt(failed, poll_latency=0.01))["status"] == 0
    assert await ledger.functions.status().call() == before  # what the anchor had set is undone as well


async def test_of_two_with_one_expectation_in_one_block_one_stands(world: World) -> None:
    ledger = await world.deploy()
    await world.anvil.automine(on=False)
    sent = [await ledger.functions.append(0, b"%d" % at).transact({"from": world.accounts[at], "gas": GAS}) for at in range(3)]
    await world.anvil.mine()
    receipts = [await world.w3.eth.wait_for_transaction_receipt(one, poll_latency=0.01) for one in sent]
    assert sorted(one["status"] for one in receipts) == [0, 0, 1]
    assert (await ledger.functions.status().call())[0] == 1


async def test_sizes_end_where_they_are_said_to(world: World) -> None:
    ledger = await world.deploy()
    most, note = await ledger.functions.MAX_BATCH().call(), await ledger.functions.MAX_NOTE().call()
    assert await world.refused(ledger.functions.append(0, bytes(most + 1))) == TOO_LARGE
    assert await world.refused(ledger.functions.anchor(0, 0, 0, bytes(32), b"", bytes(note + 1))) == TOO_LARGE
    assert await world.refused(ledger.functions.append(0, b"")) == EMPTY
    assert await world.refused(ledger.functions.anchor(0, 0, 0, bytes(32), b"x", b"")) == EMPTY
    receipt = await world.send(ledger.functions.anchor(0, 0, 0, bytes(32), b"\xff" * (most - note), b"\xff" * note))
    assert receipt["status"] == 1
    assert receipt["gasUsed"] < 16_777_216
    assert (await world.send(ledger.functions.append(1, b"\xff" * most)))["gasUsed"] < 16_777_216


async def test_the_count_does_not_overflow(world: World) -> None:
    ledger = await world.deploy()
    packed = await world.w3.eth.get_storage_at(ledger.address, 2)
    full = bytes(packed[:24]) + b"\xff" * 8
    await world.anvil.call("anvil_setStorageAt", ledger.address, "0x2", "0x" + full.hex())
    assert (await ledger.functions.status().call())[0] == 2**64 - 1
    for expected in (ANYWHERE, 2**64 - 1):
        with pytest.raises(ContractPanicError):
            await ledger.functions.append(expected, b"x").call({"from": world.accounts[0]})


async def test_only_the_list_appends_where_there_is_one(world: World) -> None:
    one, two = world.accounts[1:3]
    ledger = await world.deploy([one])
    assert (await ledger.functions.status().call())[5] is False
    assert (await world.send(ledger.functions.append(0, b"x"), by=1))["status"] == 1
    for call in (ledger.functions.append(ANYWHERE, b"x"), ledger.functions.anchor(ANYWHERE, 0, 0, bytes(32), b"x", b"n")):
        assert await world.refused(call, by=2) == NOT_SUBMITTER
        assert await world.refused(call) == NOT_SUBMITTER  # the owner decides who appends; it is not on the list itself
    assert await world.refused(ledger.functions.setSubmitter(two, True), by=1) == NOT_OWNER
    await world.send(ledger.functions.setSubmitter(two, True))
    await world.send(ledger.functions.setSubmitter(one, False))
    assert (await world.send(ledger.functions.append(1, b"x"), by=2))["status"] == 1
    assert await world.refused(ledger.functions.append(ANYWHERE, b"x"), by=1) == NOT_SUBMITTER


async def test_ownership_is_handed_over_in_two_steps(world: World) -> None:
    ledger = await world.deploy([])
    first, second, third = world.accounts[:3]
    assert await world.refused(ledger.functions.offerOwnership(second), by=1) == NOT_OWNER
    assert await world.refused(ledger.functions.acceptOwnership(), by=1) == NOT_OWNER
    await world.send(ledger.functions.offerOwnership(third))
    await world.send(ledger.functions.offerOwnership(second))
    assert await ledger.functions.owner().call() == first
    assert await world.refused(ledger.functions.acceptOwnership(), by=2) == NOT_OWNER
    await world.send(ledger.functions.acceptOwnership(), by=1)
    assert (await ledger.functions.owner().call(), await ledger.functions.pendingOwner().call()) == (second, ZERO)
    assert await world.refused(ledger.functions.setSubmitter(third, True)) == NOT_OWNER
    assert await world.refused(ledger.functions.acceptOwnership(), by=1) == NOT_OWNER
    await world.send(ledger.functions.offerOwnership(first), by=1)
    await world.send(ledger.functions.offerOwnership(ZERO), by=1)
    assert await world.refused(ledger.functions.acceptOwnership()) == NOT_OWNER


async def test_an_open_contract_belongs_to_nobody(world: World) -> None:
    ledger = await world.deploy()
    assert await ledger.functions.owner().call() == ZERO
    for call in (
        ledger.functions.setSubmitter(world.accounts[0], True),
        ledger.functions.offerOwnership(world.accounts[0]),
        ledger.functions.acceptOwnership(),
    ):
        assert await world.refused(call) == NOT_OWNER
    assert (await world.send(ledger.functions.append(0, b"x"), by=5))["status"] == 1


async def test_it_takes_no_money_and_answers_nothing_else(world: World) -> None:
    ledger = await world.deploy()
    call: dict[str, Any] = await ledger.functions.append(0, b"x").build_transaction({"from": world.accounts[0], "gas": GAS})
    for asked in ({"value": 1}, {"data": "0x"}, {"data": "0x", "value": 1}, {"data": "0x12345678"}):
        with pytest.raises(ContractLogicError):
            await world.w3.eth.call({**call, **asked})  # type: ignore[typeddict-item]  # wrong on purpose


async def test_a_submitter_that_is_a_contract_can_only_append(world: World) -> None:
    ledger = await world.deploy()
    compiled = await asyncio.to_thread(artifact_of, HOSTILE)
    factory = world.w3.eth.contract(abi=compiled["abi"], bytecode=compiled["bytecode"])
    receipt = await world.w3.eth.wait_for_transaction_receipt(
        await factory.constructor().transact({"from": world.accounts[0]}), poll_latency=0.01
    )
    hostile = world.w3.eth.contract(address=receipt["contractAddress"], abi=compiled["abi"])
    flooded = await world.send(hostile.functions.flood(ledger.address, [b"a", b"b", b"c"]))
    events = ledger.events.Appended().process_receipt(flooded)
    head = await _first_head(world, ledger)
    for number, (event, batch) in enumerate(zip(events, (b"a", b"b", b"c"), strict=True)):
        head = next_head(head, number, hostile.address, (0, 0, bytes(32)), (batch, b""))
        assert (event["args"]["number"], event["args"]["head"], event["args"]["submitter"]) == (number, head, hostile.address)
    await world.send(hostile.functions.swallow(ledger.address, b"x"))  # a refusal inside another's transaction leaves nothing behind
    await world.send(hostile.functions.borrow(ledger.address, b"x"))  # the code in another's storage: another contract's affair
    assert (await ledger.functions.status().call())[:2] == [3, head]
    assert await hostile.functions.calls().call() == 0  # it never calls out, so nobody can re-enter it


async def _first_head(world: World, ledger: Any) -> bytes:
    return keccak(abi(["uint256", "address"], [await world.w3.eth.chain_id, ledger.address]))


async def test_what_is_no_batch_stops_nobody(anvil: Anvil) -> None:
    contract = await Contract.deploy(anvil)
    entries = [one.entry for one in SmallNetwork().things(6)]
    await contract.append(*entries[:2])
    junk = (b"\x00", b"\x01", b"\x02", b"\xff" * 4000, encode(entries[2:4])[:-1], b"\x01" + encode(entries)[1:], encode(entries) + b"\0")
    for one in junk:
        await contract.submit(one)
    await contract.append(*entries[2:])
    assert await entries_of(contract) == entries
