"""Providers that are broken or hostile: another one is asked, and alone they are a domain error, soon and within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from blockchain_adapters.chainfile import ChainFile, total
from blockchain_adapters.ethereum.backend import EthereumSource
from blockchain_adapters.ethereum.rpc import ANSWER_BYTES, ANSWER_SECONDS, Provider, ProviderError, Rpc, RpcError
from ledger.core.errors import BadSourceError, BusyError, LedgerError, TooLargeError, UnreachableError
from ledger.core.trust.providers import ChainAlarmKind
from ledger.home.clock import SystemClock
from tests.support.lying_node import lying_node
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.anvil import Anvil
    from tests.support.contract import Contract
    from tests.support.lying_node import LyingNode

    Lie = Callable[[str, list[Any], Any], Any]

ENTRIES = 5


@pytest.fixture
async def liar(anvil: Anvil) -> AsyncIterator[LyingNode]:
    async with lying_node(anvil.url) as node:
        yield node


@pytest.fixture
async def filled(contract: Contract) -> Contract:
    """A contract that holds five entries, in three blocks."""
    network = SmallNetwork()
    await contract.append(*(one.entry for one in network.first))
    for name in ("a", "b"):
        await contract.append(network.put(name).entry)
    return contract


async def read(contract: Contract, path: Path, *urls: str, patience: float = ANSWER_SECONDS) -> int:
    """Read everything at these providers; return how many entries came."""
    kept = await asyncio.to_thread(ChainFile.open, path / "chain.db")
    rpc = Rpc(urls, contract.address, chain=contract.node.chain)
    for provider in rpc.providers:
        provider.patience = patience
    source = EthereumSource(rpc, kept, SystemClock())
    try:
        await source.open()
        await source.poll()
        return await kept.read(total)
    finally:
        await source.close()


def drop_last_log(method: str, _params: list[Any], result: Any) -> Any:
    return result[:-1] if method == "eth_getLogs" else result


def drop_first_log(method: str, _params: list[Any], result: Any) -> Any:
    return result[1:] if method == "eth_getLogs" else result


def alter_log(method: str, _params: list[Any], result: Any) -> Any:
    if method == "eth_getLogs" and result:
        text = result[0]["data"]
        place = 2 + 64 * 8
        result[0]["data"] = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
    return result


def repeat_logs(method: str, _params: list[Any], result: Any) -> Any:
    return [*result, *result] if method == "eth_getLogs" else result


def swap_logs(method: str, _params: list[Any], result: Any) -> Any:
    return result[::-1] if method == "eth_getLogs" else result


def foreign_log(method: str, _params: list[Any], result: Any) -> Any:
    return [{**one, "address": "0x" + "11" * 20} for one in result] if method == "eth_getLogs" else result


def shapeless_logs(method: str, _params: list[Any], result: Any) -> Any:
    return [{**one, "data": "0x" + "ff" * 192} for one in result] if method == "eth_getLogs" else result


def head_far_ahead(method: str, params: list[Any], result: Any) -> Any:
    if method == "eth_getBlockByNumber" and params[0] in ("latest", "finalized"):
        return {**result, "number": "0xffffffffff"}
    return result


def broken_chain(method: str, _params: list[Any], result: Any) -> Any:
    return {**result, "parentHash": "0x" + "22" * 32} if method == "eth_getBlockByNumber" and result else result


def other_chain(method: str, _params: list[Any], result: Any) -> Any:
    return "0x1" if method == "eth_chainId" else result


def other_genesis(method: str, params: list[Any], result: Any) -> Any:
    return {**result, "hash": "0x" + "33" * 32} if method == "eth_getBlockByNumber" and params[0] == "0x0" else result


def no_code(method: str, _params: list[Any], result: Any) -> Any:
    return "0x" if method == "eth_getCode" else result


def other_code(method: str, _params: list[Any], result: Any) -> Any:
    return "0x6001" if method == "eth_getCode" else result


def other_status(method: str, _params: list[Any], result: Any) -> Any:
    return "0x" + "00" * 192 if method == "eth_call" else result


def nulls(_method: str, _params: list[Any], _result: Any) -> Any:
    return None


def nonsense(_method: str, _params: list[Any], _result: Any) -> Any:
    return {"a": [1, None, "0xzz"], "number": "1", "hash": 7}


LIES: list[Lie] = [
    drop_last_log,
    drop_first_log,
    alter_log,
    foreign_log,
    shapeless_logs,
    head_far_ahead,
    broken_chain,
    other_chain,
    no_code,
    other_status,
    nulls,
    nonsense,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_liar_gives_way_to_the_next_provider(filled: Contract, liar: LyingNode, tmp_path: Path, lie: Lie) -> None:
    liar.lie = lie
    assert await read(filled, tmp_path, liar.url, filled.node.url) == ENTRIES
    assert liar.asked


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_liar_alone_is_an_error_and_nothing_false_is_taken(filled: Contract, liar: LyingNode, tmp_path: Path, lie: Lie) -> None:
    liar.lie = lie
    with pytest.raises((BadSourceError, UnreachableError, BusyError)):
        await read(filled, tmp_path, liar.url)
    liar.lie = lambda _method, _params, result: result
    assert await read(filled, tmp_path, liar.url) == ENTRIES


@pytest.mark.parametrize("lie", [repeat_logs, swap_logs], ids=lambda lie: lie.__name__)
async def test_logs_that_come_twice_or_in_another_order_are_put_right(filled: Contract, liar: LyingNode, tmp_path: Path, lie: Lie) -> None:
    liar.lie = lie
    assert await read(filled, tmp_path, liar.url) == ENTRIES


@pytest.mark.parametrize("lie", [other_genesis, other_code], ids=lambda lie: lie.__name__)
async def test_one_that_shows_another_chain_than_the_first_is_left_out(filled: Contract, liar: LyingNode, tmp_path: Path, lie: Lie) -> None:
    assert await read(filled, tmp_path, filled.node.url) == ENTRIES
    liar.lie = lie
    with pytest.raises(BadSourceError):
        await read(filled, tmp_path, liar.url)


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, None), (500, b"<html>"), (200, b"{"), (200, b"[]"), (200, b'"x"'), (200, b'{"id":1}'), (200, b"[" * 100_000), (302, None)],
)
async def test_answers_that_are_none_are_errors(filled: Contract, liar: LyingNode, tmp_path: Path, status: int, body: bytes | None) -> None:
    liar.status, liar.body = status, body
    with pytest.raises((UnreachableError, BusyError)):
        await read(filled, tmp_path, liar.url)
    assert await read(filled, tmp_path, liar.url, filled.node.url) == ENTRIES


async def test_an_answer_without_end_is_cut(liar: LyingNode) -> None:
    liar.flood = True
    provider = Provider(liar.url)
    with pytest.raises(TooLargeError):
        await provider.call("eth_chainId")
    assert provider.received <= ANSWER_BYTES + 2**20
    await provider.close()


async def test_one_that_does_not_answer_is_left_soon(filled: Contract, liar: LyingNode) -> None:
    liar.delay = 30.0
    rpc = Rpc([liar.url, filled.node.url], filled.address)
    rpc.providers = (Provider(liar.url, patience=0.3), rpc.providers[1])
    assert await rpc.call("eth_chainId") == hex(filled.node.chain)
    assert "no answer within" in str(rpc.providers[0].error)
    alone = Provider(liar.url, patience=0.3)
    with pytest.raises(UnreachableError, match="no answer within"):
        await alone.call("eth_chainId")
    await rpc.close()
    await alone.close()


@pytest.mark.parametrize("most", [1, 2, 7])
async def test_ranges_shrink_to_what_a_provider_answers(filled: Contract, liar: LyingNode, tmp_path: Path, most: int) -> None:
    refused = 0

    def capped(method: str, params: list[Any], result: Any) -> Any:
        nonlocal refused
        if method == "eth_getLogs" and int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) >= most:
            refused += 1
            return "range"
        return result

    async def answer(method: str, *params: Any) -> Any:
        found = await Provider.call(provider, method, *params)
        if found == "range":
            raise RpcError("it", -32602, f"block range is too wide: at most {most}")
        return found

    await filled.node.mine(20)
    liar.lie = capped
    provider = Provider(liar.url)
    view = filled.view(provider)
    provider.call = answer  # type: ignore[method-assign] # the refusal as a provider words it
    found, at = 0, 0
    while at <= 20:
        page = await view.batches(at, 20)
        found, at = found + len(page.batches), page.last + 1
    assert (found, refused > 0) == (3, True)
    await provider.close()


async def test_two_providers_that_differ_about_a_final_block_are_an_alarm(
    filled: Contract, anvil: Anvil, liar: LyingNode, tmp_path: Path
) -> None:
    await anvil.mine(70)

    def other_final(method: str, params: list[Any], result: Any) -> Any:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            return {**result, "hash": "0x" + "44" * 32}
        return result

    liar.lie = other_final
    kept = await asyncio.to_thread(ChainFile.open, tmp_path / "chain.db")
    source = EthereumSource(filled.rpc(liar.url), kept, SystemClock())
    await source.open()
    await source.poll()
    known = await source.known()
    assert known.alarm is not None
    assert known.alarm.kind is ChainAlarmKind.PROVIDERS_DIFFER
    assert {claim.hash[-4:] for claim in known.alarm.claims} >= {"4444"}
    await source.close()


async def test_one_provider_is_believed_and_a_laggard_named(filled: Contract, anvil: Anvil, liar: LyingNode, tmp_path: Path) -> None:
    await anvil.mine(70)
    kept = await asyncio.to_thread(ChainFile.open, tmp_path / "one.db")
    source = EthereumSource(filled.rpc(), kept, SystemClock())
    await source.open()
    await source.poll()
    assert (await source.known()).believed
    await source.close()
    kept = await asyncio.to_thread(ChainFile.open, tmp_path / "two.db")
    source = EthereumSource(filled.rpc(liar.url), kept, SystemClock())
    await source.open()
    await source.poll()
    before = await source.known()
    assert (before.believed, before.laggards) == (False, ())
    frozen = await anvil.call("eth_getBlockByNumber", "finalized", False)
    liar.lie = lambda _method, params, result: frozen if params[:1] == ["finalized"] else result
    await anvil.mine(10)
    await source.poll()
    after = await source.known()
    assert after.agreed == before.agreed
    assert after.laggards == (source.rpc.providers[0].name,)
    await source.close()


async def test_nobody_there_is_unreachable(contract: Contract) -> None:
    rpc = Rpc(["http://127.0.0.1:1"], contract.address)
    with pytest.raises(LedgerError, match="no connection") as caught:
        await rpc.call("eth_chainId")
    assert getattr(caught.value, "sent", None) is False
    await rpc.close()


async def test_a_provider_that_was_closed_opens_no_connection_anew(anvil: Anvil) -> None:
    provider = Provider(anvil.url)
    await provider.call("eth_chainId")
    await provider.close()
    with pytest.raises(ProviderError, match="was closed") as caught:
        await provider.call("eth_chainId")
    assert not caught.value.sent
