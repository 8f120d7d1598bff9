"""Peers that are not there, are others, or say nothing: each has a name of its own. No Fabric is needed for these."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from blockchain_adapters.hyperledger.faults import PeerDownError, TimeUpError, WrongAuthorityError
from blockchain_adapters.hyperledger.peer import Endorsed, Peer
from ledger.core.errors import UsageError
from tests.support.fabric_identity import lone_profile, self_made
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from blockchain_adapters.hyperledger.bridge import Bridge

pytestmark = pytest.mark.java
CALLS: dict[str, Callable[[Peer], Awaitable[object]]] = {
    "evaluate": lambda peer: peer.evaluate("Status"),
    "endorse": lambda peer: peer.endorse("Append", b"batch"),
    "status": lambda peer: peer.committed("00" * 32, 5.0),
    "height": lambda peer: peer.height(),
    "blocks": lambda peer: peer.blocks(0, 5.0),
}


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_nobody_listens(bridge: Bridge, call: str) -> None:
    peer = Peer(bridge, lone_profile(f"127.0.0.1:{free_port()}"))
    with pytest.raises(PeerDownError):
        await CALLS[call](peer)
    await peer.close()


async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_a_certificate_of_another_authority(bridge: Bridge, call: str) -> None:
    theirs, ours = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    server = await asyncio.start_server(accepted, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    peer = Peer(bridge, lone_profile(f"127.0.0.1:{port}", ours.cert_pem.bytes().decode()))
    with pytest.raises(WrongAuthorityError):
        await CALLS[call](peer)
    await peer.close()
    server.close()


async def test_a_port_where_no_tls_is_spoken(bridge: Bridge) -> None:
    async def other(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(other, "127.0.0.1", 0)
    peer = Peer(bridge, lone_profile(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    with pytest.raises(WrongAuthorityError):
        await peer.evaluate("Status")
    await peer.close()
    server.close()


@pytest.mark.parametrize("way", ["closes", "resets"])
async def test_a_peer_that_dies_in_the_handshake(bridge: Bridge, way: str) -> None:
    async def dying(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)  # the rest stays unread: closing resets the connection
        if way == "closes":
            await reader.read(1 << 16)
        writer.close()

    server = await asyncio.start_server(dying, "127.0.0.1", 0, limit=16)
    peer = Peer(bridge, lone_profile(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
    with pytest.raises(PeerDownError):
        await peer.evaluate("Status")
    await peer.close()
    server.close()


async def test_a_peer_that_says_nothing(bridge: Bridge) -> None:
    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    fields = lone_profile(f"127.0.0.1:{server.sockets[0].getsockname()[1]}").fields()
    opened = await bridge.ask("open", {**fields, "evaluate_ms": 300})
    with pytest.raises(TimeUpError):
        await bridge.ask("evaluate", {"connection": opened["connection"], "function": "Status", "arguments": []})
    server.close()


async def test_a_ticket_that_is_none_is_not_sent(bridge: Bridge) -> None:
    peer = Peer(bridge, lone_profile(f"127.0.0.1:{free_port()}"))
    with pytest.raises(UsageError, match="endorse"):
        await peer.submit(Endorsed("00" * 32, b"\xff\xff\xff", b""))
    await peer.close()


@pytest.mark.parametrize("name", ["certificate", "key", "tls_ca"])
@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_a_text_that_is_no_pem(bridge: Bridge, name: str, text: str) -> None:
    wrong: dict[str, Any] = {name: text}
    peer = Peer(bridge, replace(lone_profile("127.0.0.1:1"), **wrong))
    with pytest.raises(UsageError, match=name):
        await peer.evaluate("Status")


def test_a_key_shows_in_no_repr() -> None:
    profile = lone_profile("127.0.0.1:1")
    assert profile.key not in repr(profile)
    assert "PRIVATE" not in repr(profile)
    assert self_made()[1] != profile.key
