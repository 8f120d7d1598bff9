"""A network that a channel orders, through the commands and the client that every ledger has."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.peer import Peer
from ledger import LedgerClient
from ledger.core.errors import UnsupportedError, VersionMismatchError
from tests.support.channel import ledger_url, write_identity
from tests.support.live import ledger_cli, state_root_of

if TYPE_CHECKING:
    from pathlib import Path

    from blockchain_adapters.hyperledger.bridge import Bridge
    from ledger.core.canonical import JSON
    from tests.support.fabric.shape import FabricNetwork

pytestmark = [pytest.mark.java, pytest.mark.timeout(120)]

SITE: JSON = {"site": {"name": "Oslo", "country": "no"}}


async def client_of(home: Path) -> LedgerClient:
    return await asyncio.to_thread(lambda: LedgerClient.open(home=home))


async def operations_name_their_transactions(home: Path, network: FabricNetwork, bridge: Bridge, ids: set[str]) -> None:
    """Each operation on these ids shows the transaction of the channel in which its statement travelled."""
    done = await asyncio.to_thread(ledger_cli, home, "get", "operations", "--all", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = [one for one in json.loads(done.stdout) if one["id"] in ids]
    assert {one["id"] for one in found} == ids
    peer = Peer(bridge, network.profile())
    for one in found:
        carrying = await peer.evaluate("Get", one["place"].encode())
        assert one["place"].encode() in carrying
    await peer.close()


async def test_a_network_is_made_written_and_read_by_one_who_has_nothing_but_its_id(
    network: FabricNetwork, bridge: Bridge, tmp_path: Path
) -> None:
    url, identity = ledger_url(network, tmp_path), write_identity(network, tmp_path)
    home, reader = tmp_path / "admin", tmp_path / "reader"
    words = ("create", "network", "sea", "--url", url, "--account", str(identity), "-o", "json")
    done = await asyncio.to_thread(ledger_cli, home, *words)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    async with await client_of(home) as client:
        published = await client.publish_one(SITE)
        assert (published.result, published.index) == ("published", made["size"])
        assert published.position is not None
        assert published.position.final
        assert (await client.publish_one(SITE)).result == "unchanged"
        changed = await client.patch(published.id, {"country": "NO"})
        assert [one.until for one in await client.history(published.id)] == [changed.index, None]
        with pytest.raises(VersionMismatchError):
            await client.patch(published.id, {"country": "se"}, expect="0" * 64)
        with pytest.raises(UnsupportedError, match="no offline proof"):
            await client.receipt(published.id)
        await operations_name_their_transactions(home, network, bridge, {published.id, changed.id})
        status = await client.status()
        assert (status["state"], status["freshness"]) == ("ok", "fresh")
        assert [one["error"] for one in status["providers"]] == [None] * len(network.peers)  # type: ignore[attr-defined]  # JSON
    words = ("join", "--network", made["network"], "--ledger", url, "--account", str(identity), "-o", "json")
    done = await asyncio.to_thread(ledger_cli, reader, *words)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["size"] == made["size"] + 2  # a patch that is void already was not sent
    async with await client_of(reader) as client:
        assert (await client.get("site", "country = NO")).policies[0]["site"]["name"] == "Oslo"  # type: ignore[index,call-overload]  # JSON
    assert await state_root_of(reader) == await state_root_of(home)
