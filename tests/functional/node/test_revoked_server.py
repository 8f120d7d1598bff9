"""A server whose certificate is revoked is spoken to no more, by who fetched the list."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.client.revocations import fetch_list, list_file
from ledger.home.home import Home
from tests.support.live import LiveNetwork, eventually, ledger_cli

if TYPE_CHECKING:
    from pathlib import Path


def kept(home: Path) -> bytes:
    path = list_file(Home(home))
    return path.read_bytes() if path.exists() else b""


async def test_relay_that_was_revoked_is_refused_before_a_request(own_network: LiveNetwork) -> None:
    network = own_network
    relay_home, home, member = [await network.join(name) for name in ("relay", "node-1", "member-1")]
    relay = await asyncio.to_thread(network.start_node, relay_home, "--relay", poll=0.2)
    assert (await asyncio.to_thread(ledger_cli, member, "sync", "--ledger", relay.url)).returncode == 0
    node = await asyncio.to_thread(network.start_node, home, poll=0.2, sources=[relay.url])
    await eventually(lambda: bool(kept(home)), "the node has the list")
    first = kept(home)

    assert (await asyncio.to_thread(ledger_cli, network.home, "revoke", "member", "relay", "--yes")).returncode == 0
    await asyncio.to_thread(node.stop)
    await asyncio.to_thread(node.start)  # rather than an hour later
    await eventually(lambda: bool(node.events("revocations")), "the node has the new list")
    assert [one["certificates"] for one in node.events("revocations")] == [1]
    await eventually(lambda: any("is revoked" in str(one) for one in node.events("source-failed")), "the relay is refused")

    assert (await asyncio.to_thread(ledger_cli, member, "sync")).returncode == 0  # brings the list
    refused = await asyncio.to_thread(ledger_cli, member, "sync", "--ledger", relay.url)
    assert (refused.returncode, "shows a certificate that is revoked" in refused.stderr) == (4, True)

    newest = kept(home)
    assert newest != first
    async with network.transport(home=home) as transport:  # and a list that is older is not taken back
        ca = await asyncio.to_thread(Home(home).ca_file.read_bytes)
        await asyncio.to_thread(list_file(Home(home)).write_bytes, first)
        assert await fetch_list(transport, Home(home), ca)
        assert await asyncio.to_thread(kept, home) != first
