"""A network that a chain orders, through the client that every ledger has."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger import LedgerClient
from ledger.core.errors import (
    NotFoundError,
    NotReadyError,
    UnsupportedError,
    VersionMismatchError,
)
from ledger.engine.store import Store
from ledger.home.home import Home
from tests.support.chain_homes import PHRASE, eventually, found, reader_home, write_account
from tests.support.live import ledger_cli

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.answers import Change
    from ledger.core.canonical import JSON
    from tests.support.anvil import Anvil
    from tests.support.chain_homes import Founded
    from tests.support.contract import Contract

SITE: JSON = {"site": {"name": "Oslo", "country": "no"}}


@pytest.fixture
async def network(anvil: Anvil, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Founded:
    monkeypatch.setenv("METALEDGER_PASSPHRASE", PHRASE)
    return await found(anvil, contract, tmp_path)


async def client_of(home: Path) -> LedgerClient:
    """Return a client of a home, which reads files."""
    return await asyncio.to_thread(lambda: LedgerClient.open(home=home))


def state_root(home: Path) -> str:
    store = Store.open(Home(home).database, writable=False)
    try:
        return store.read_now(lambda snapshot: snapshot.state().state_root())
    finally:
        store.close()


async def test_what_is_published_is_in_force_for_everybody(network: Founded, contract: Contract, tmp_path: Path) -> None:
    async with await client_of(network.home) as client:
        published = await client.publish_one(SITE)
        assert published.result == "published"
        assert published.index == network.size
        assert published.position is not None
        assert not published.position.final
        assert (await client.publish_one(SITE)).result == "unchanged"
        changed = await client.patch(published.id, {"country": "NO"})
        assert [one.until for one in await client.history(published.id)] == [changed.index, None]
        status = await client.status()
        assert status["state"] == "ok"
        assert [one["error"] for one in status["providers"]] == [None]  # type: ignore[attr-defined]  # JSON
        assert "believed" in str(status["chain"])
        with pytest.raises(UnsupportedError, match="no offline proof"):
            await client.receipt(published.id)
    reader = await asyncio.to_thread(reader_home, tmp_path / "reader", network.network, contract.ledger)
    async with await client_of(reader) as client:
        report = await client.sync()
        assert report.size == network.size + 2
        assert (await client.get("site", "country = NO")).policies[0]["site"]["name"] == "Oslo"  # type: ignore[index,call-overload]  # JSON
    assert await asyncio.to_thread(state_root, reader) == await asyncio.to_thread(state_root, network.home)


async def test_what_is_void_is_an_error_of_the_author(network: Founded) -> None:
    async with await client_of(network.home) as client:
        published = await client.publish_one(SITE)
        with pytest.raises(VersionMismatchError):
            await client.patch(published.id, {"country": "se"}, expect="0" * 64)
        assert (await client.policy(published.id))["site"]["country"] == "no"  # type: ignore[index,call-overload]  # JSON


async def test_a_reorganisation_goes_through_to_the_copy_and_what_was_published_comes_back(
    network: Founded, anvil: Anvil, contract: Contract, tmp_path: Path
) -> None:
    reader = await asyncio.to_thread(reader_home, tmp_path / "reader", network.network, contract.ledger)
    changes: list[Change] = []
    async with await client_of(network.home) as client, await client_of(reader) as other:
        first = await client.publish_one(SITE)
        await other.sync()

        async def listen() -> None:
            async for change in other.watch():
                changes.append(change)  # noqa: PERF401 - it never ends: each change counts when it comes

        task = asyncio.create_task(listen())
        try:
            await asyncio.sleep(0.3)
            second = await client.publish_one({"site": {"name": "Bergen", "country": "no"}})

            async def heard(op: str, policy: str = "") -> bool:
                return any(one.op == op and one.id == policy for one in changes)

            await eventually(lambda: heard("put", second.id))
            await anvil.automine(on=False)  # nothing comes back before the watcher saw that it was gone
            await anvil.reorg(2)
            await eventually(lambda: heard("undone"))
            await anvil.automine(on=True)

            async def settled() -> bool:
                await client.sync()
                await anvil.mine()
                await other.sync()
                return len((await client.get("site")).policies) == len((await other.get("site")).policies) == 2

            await eventually(settled)
            assert await asyncio.to_thread(state_root, reader) == await asyncio.to_thread(state_root, network.home)
            await eventually(lambda: heard("put", first.id))
            assert [one.op for one in changes if one.id in ("", second.id)] == ["put", "undone", "put"]
            assert [one.index for one in changes if one.op == "undone"] == [first.index]
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_junk_and_forgeries_are_void_and_hold_nobody_up(network: Founded, contract: Contract) -> None:
    for junk in (b"\x02junk", b"\xff", b"\x01" + b"\0" * 100, b"\x02" + b"\xff" * 2_000):
        await contract.submit(junk)
    await contract.append(b"no envelope at all")
    async with await client_of(network.home) as client:
        await client.sync()
        assert [one.code for one in await client.void()] == ["format"]
        published = await client.publish_one(SITE)
        assert published.index == network.size + 1


async def test_a_home_reads_on_where_it_stopped(network: Founded, contract: Contract, anvil: Anvil, tmp_path: Path) -> None:
    reader = await asyncio.to_thread(reader_home, tmp_path / "reader", network.network, contract.ledger)
    async with await client_of(reader) as client:
        first = await client.sync()
    async with await client_of(network.home) as client:
        await client.publish_one(SITE)
    await anvil.mine(70)
    seen: list[tuple[int, int]] = []
    async with await client_of(reader) as client:
        second = await client.sync(lambda done, all_of_it: seen.append((done, all_of_it)))
    assert (second.size, second.entries) == (first.size + 1, 1)
    assert seen
    assert second.notes == ("7 of 8 entries are not final yet",) or "provider" in second.notes[-1]


async def test_a_network_is_not_made_where_it_cannot_be(contract: Contract, tmp_path: Path) -> None:
    account = await asyncio.to_thread(write_account, tmp_path / "account.json", contract.node.key)
    nowhere = f"ethereum+{contract.node.url}/0x{'00' * 20}"
    cases = (
        (("--url", contract.ledger), 2, "--account"),
        (("--url", contract.ledger, "--account", str(account), "--public-read"), 2, "no other option"),
        (("--url", nowhere, "--account", str(account)), 1, "no contract"),
        (("--url", f"ethereum+{contract.node.url}/0x12", "--account", str(account)), 2, "names no contract"),
    )
    for words, code, said in cases:
        done = await asyncio.to_thread(ledger_cli, tmp_path / "home", "create", "network", "sea", *words)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
        assert not (tmp_path / "home").exists()


async def test_nothing_of_another_network_is_taken(network: Founded, contract: Contract, tmp_path: Path) -> None:
    other = await asyncio.to_thread(reader_home, tmp_path / "other", "ab" * 32, contract.ledger)
    async with await client_of(other) as client:
        with pytest.raises((NotReadyError, NotFoundError)):
            await client.sync()
