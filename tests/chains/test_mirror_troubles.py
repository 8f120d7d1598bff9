"""What keeps a mirror from going on is said by `get mirrors`, with what to do about it; nothing is written meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from eth_abi.abi import encode as abi
from eth_account import Account as EthAccount
from eth_utils.crypto import keccak

from blockchain_adapters.ethereum.rpc import quantity
from ledger.home.home import Home
from tests.support.anvil import FUNDED, Anvil, running_anvil, scratch_state
from tests.support.chain_homes import PHRASE, write_account
from tests.support.chain_writing import BATCHES, account_of, entries_of
from tests.support.contract import Contract, mined, send
from tests.support.live import configure, eventually, founded, ledger_cli
from tests.support.lying_node import LyingNode, Refusal, lying_node
from tests.support.mirroring_master import Mirrored, log_of, play, play_on

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["founded"]

pytestmark = pytest.mark.timeout(120)

OTHER_KEY = "0x" + "21" * 32
OTHER = EthAccount.from_key(OTHER_KEY).address
FEES = {"gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}


def test_an_account_that_is_not_on_the_list(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _not_listed)


async def _not_listed(scene: Mirrored, anvil: Anvil) -> None:
    scene.contract = await Contract.deploy(anvil, submitters=[FUNDED])
    await anvil.call("anvil_setBalance", OTHER, hex(10**18))
    await asyncio.to_thread(write_account, Home(scene.home).keys / "ethereum.json", OTHER_KEY)
    refused = await scene.add()
    assert refused.code == 3
    assert f"{OTHER} may not append" in refused.err
    await asyncio.to_thread(scene.write)
    waits = await scene.reaches("waits", says="may not append")
    assert (waits["code"], waits["allowed"], waits["account"]) == ("not-allowed", False, OTHER)
    assert "setSubmitter" in waits["advice"]
    allow = keccak(text="setSubmitter(address,bool)")[:4] + abi(["address", "bool"], [OTHER, True])
    await mined(anvil, await send(anvil, allow, scene.contract.address))
    await scene.reaches("current", seconds=60)
    await scene.holds_the_log()


def test_a_provider_that_is_on_another_chain_now(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _other_chain)


async def _other_chain(scene: Mirrored, anvil: Anvil) -> None:
    """Let another chain answer at the URL, on which the same account made the same contract."""
    (await scene.add()).good()
    await scene.network.publish("Oslo")
    await scene.reaches("current")
    port = anvil.port
    await anvil.stop()
    second = Anvil("--chain-id", "999", port=port)
    again = Anvil(*scratch_state(scene.home.parent), port=port)
    try:
        await second.start()
        other = await Contract.deploy(second)
        assert other.address == scene.contract.address
        await scene.network.publish("Bergen")
        await asyncio.to_thread(scene.network.master.stop)
        await asyncio.to_thread(scene.network.master.restart)  # it opens everything anew
        waits = await scene.reaches("waits", says="it is on chain 999, not 31337")
        assert waits["code"] == "bad-source"
        assert "Compare the address and the chain" in waits["advice"]
        assert await entries_of(other) == []
        await second.stop()
        await again.start()
        scene.contract.node = again
        await scene.reaches("current", seconds=90)
        await scene.holds_the_log()
    finally:
        await second.stop()
        await again.stop()


def test_a_nonce_that_somebody_else_used(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _nonce_used)


async def _nonce_used(scene: Mirrored, anvil: Anvil) -> None:
    await asyncio.to_thread(scene.write)
    await scene.reaches("current")
    place, nonce = await _held_back(scene, anvil)
    await anvil.call("anvil_dropTransaction", place)
    await _use(anvil, nonce)
    await anvil.mine()
    waits = await scene.reaches("waits", says=f"nonce {nonce} of {FUNDED} was used by another transaction")
    assert "Nothing else may use the account" in waits["advice"]
    await anvil.automine(on=True)
    await anvil.mine(100)  # now the block of the other one is final
    await scene.reaches("current", seconds=60)
    await scene.holds_the_log()


def test_a_nonce_that_is_missing(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _nonce_gap)


async def _nonce_gap(scene: Mirrored, anvil: Anvil) -> None:
    """Let somebody use the account, so that ours comes behind, and let the pool forget what that one sent."""
    await asyncio.to_thread(scene.write)
    await scene.reaches("current")
    await anvil.automine(on=False)
    missing = quantity(await anvil.call("eth_getTransactionCount", FUNDED, "latest"))
    rival = await _use(anvil, missing)
    _, nonce = await _held_back(scene, anvil)
    assert nonce == missing + 1
    await anvil.call("anvil_dropTransaction", rival)
    await anvil.automine(on=True)
    waits = await scene.reaches("waits", says=f"has no transaction of nonce {missing}, and ours has nonce {nonce}")
    assert waits["code"] == "not-ready"
    assert "the nonce that is missing" in waits["advice"]
    await _use(anvil, missing)
    await scene.reaches("current", seconds=60)
    await scene.holds_the_log()


async def _held_back(scene: Mirrored, anvil: Anvil) -> tuple[str, int]:
    """Publish while no block comes, until the mirror's transaction is in the pool; return its hash and its nonce."""
    await anvil.automine(on=False)
    before = await _waiting(anvil)
    await scene.network.publish("held back")
    found: dict[int, str] = {}

    async def there() -> bool:
        nonlocal found
        found = {nonce: name for nonce, name in (await _waiting(anvil)).items() if nonce not in before}
        return bool(found)

    await eventually(there, "the mirror's transaction is in the pool")
    [(nonce, name)] = found.items()
    return name, nonce


async def _waiting(anvil: Anvil) -> dict[int, str]:
    """Return the transactions of the account that are in the pool, by nonce."""
    pool = await anvil.call("txpool_content")
    found: dict[str, Any] = {name.lower(): one for name, one in {**pool["queued"], **pool["pending"]}.items()}.get(FUNDED.lower(), {})
    return {int(nonce): str(one["hash"]) for nonce, one in found.items()}


async def _use(anvil: Anvil, nonce: int) -> str:
    """Use a nonce of the account for something else; return the transaction's hash."""
    raw, name = account_of(anvil).sign({"type": 2, "chainId": anvil.chain, "nonce": nonce, "to": FUNDED, "value": 1, "data": b"", **FEES})
    await anvil.call("eth_sendRawTransaction", "0x" + raw.hex())
    return name


def test_a_provider_that_prunes_and_one_that_is_believed(founded: Path, tmp_path: Path) -> None:
    play_on(running_anvil(), founded, tmp_path, _pruned)


async def _pruned(scene: Mirrored, anvil: Anvil) -> None:
    def forget(method: str, _params: list[Any], result: Any) -> Any:
        return Refusal(4444, "pruned history unavailable") if method == "eth_getLogs" else result

    async with lying_node(anvil.url) as forgetful:
        forgetful.lie = forget
        honest = scene.contract.ledger
        scene.contract = Contract(_Behind(anvil, forgetful), scene.contract.address)
        await asyncio.to_thread(scene.write)
        waits = await scene.reaches("waits", says="does not keep all old blocks: pruned history unavailable")
        assert "keeps everything since the contract was made" in waits["advice"]
        await asyncio.to_thread(configure, scene.home, sources=[honest])
        await asyncio.to_thread(scene.network.master.stop)
        await asyncio.to_thread(scene.network.master.restart)
        good = await scene.reaches("current")
        assert (good["providers"], good["believed"]) == (2, False)
        said = await asyncio.to_thread(ledger_cli, scene.home, "get", "mirrors", METALEDGER_PASSPHRASE=PHRASE)
        assert "believed" not in said.stderr
        await asyncio.to_thread(configure, scene.home, sources=[])
        forgetful.lie = lambda _method, _params, result: result
        await asyncio.to_thread(scene.network.master.stop)
        await asyncio.to_thread(scene.network.master.restart)
        alone = await scene.reaches("current")
        assert (alone["providers"], alone["believed"]) == (1, True)
        said = await asyncio.to_thread(ledger_cli, scene.home, "get", "mirrors", METALEDGER_PASSPHRASE=PHRASE)
        assert "believed, for there is one provider only" in said.stderr
        assert await entries_of(scene.contract) == await log_of(scene)


class _Behind:
    """An anvil, reached through somebody else."""

    def __init__(self, anvil: Anvil, between: LyingNode) -> None:
        self.chain, self.key = anvil.chain, anvil.key
        self.url = between.url
        self.call = anvil.call
        self.mine = anvil.mine


def test_what_a_provider_does_wrong_is_said_until_it_stops(founded: Path, tmp_path: Path) -> None:
    play_on(running_anvil(), founded, tmp_path, _wrong)


async def _wrong(scene: Mirrored, anvil: Anvil) -> None:
    async with lying_node(anvil.url) as node:
        scene.contract = Contract(_Behind(anvil, node), scene.contract.address)
        await asyncio.to_thread(scene.write)
        await scene.reaches("current")
        for number, (begin, code) in enumerate(WRONGS):
            begin(node)
            await scene.network.publish(f"site {number}")
            assert (await scene.reaches("waits"))["code"] == code
            node.status, node.body, node.lie = 200, None, lambda _method, _params, result: result
            await scene.network.publish(f"again {number}")  # it wakes
            await scene.reaches("current", seconds=60)
        await scene.holds_the_log()


def test_a_transaction_whose_answer_never_comes_is_looked_up(founded: Path, tmp_path: Path) -> None:
    play_on(running_anvil(), founded, tmp_path, _deaf)


async def _deaf(scene: Mirrored, anvil: Anvil) -> None:
    def take_and_say_nothing(method: str, _params: list[Any], result: Any) -> Any:
        if method == "eth_sendRawTransaction":
            raise web.HTTPBadGateway
        return result

    async with lying_node(anvil.url) as node:
        node.lie = take_and_say_nothing
        scene.contract = Contract(_Behind(anvil, node), scene.contract.address)
        await asyncio.to_thread(scene.write)
        for name in ("Oslo", "Bergen"):
            await scene.network.publish(name)
            await scene.holds_the_log()
        assert quantity(await anvil.call("eth_getTransactionCount", FUNDED, "latest")) == 1 + len(await _batches(scene))


async def _batches(scene: Mirrored) -> list[Any]:
    """Return the batches on the contract."""
    asked = {"address": scene.contract.address, "fromBlock": "0x0", "toBlock": "latest"}
    found: list[Any] = await scene.contract.node.call("eth_getLogs", asked)
    return [one for one in found if len(one["topics"]) == BATCHES]


def _garbage(node: LyingNode) -> None:
    node.body = b"<html>"


def _busy(node: LyingNode) -> None:
    node.status = 429


def _ahead(node: LyingNode) -> None:
    node.lie = lambda method, params, result: (
        {**result, "number": "0xffffffffff"} if method == "eth_getBlockByNumber" and params[0] == "latest" else result
    )


def _partial(node: LyingNode) -> None:
    node.lie = lambda method, _params, result: result[:-1] if method == "eth_getLogs" else result


WRONGS = ((_garbage, "unreachable"), (_busy, "busy"), (_ahead, "unreachable"), (_partial, "bad-source"))
