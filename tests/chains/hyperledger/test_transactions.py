"""Transactions of the chaincode through a peer: what becomes of one, of one sent twice, of two that exclude each other, of one that is
refused; and the name that each mistake in reaching the peer has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.faults import (
    NoChaincodeError,
    UnknownChannelError,
    UnknownIdentityError,
    WrongAuthorityError,
    WrongClockError,
)
from blockchain_adapters.hyperledger.peer import Peer
from ledger.core.errors import ConflictError, InvalidError, LedgerError, NotAllowedError, NotFoundError, SizeMismatchError, TooLargeError
from tests.support.fabric.peers import WAIT, append, settled
from tests.support.fabric_identity import self_made

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from blockchain_adapters.hyperledger.peer import Profile
    from tests.support.fabric.shape import FabricNetwork

pytestmark = pytest.mark.java
ROOT = bytes(range(32))
CALLS: dict[str, Callable[[Peer], Awaitable[object]]] = {
    "blocks": lambda peer: peer.blocks(0, 5.0),
    "evaluate": lambda peer: peer.evaluate("Status"),
    "endorse": lambda peer: peer.endorse("Append", b"batch"),
    "status": lambda peer: peer.committed("00" * 32, 30.0),
    "height": lambda peer: peer.height(),
}


@pytest.fixture
def peer(bridge: Bridge, network: FabricNetwork) -> Peer:
    return Peer(bridge, network.profile())


def anchor(expected: int, size: int) -> tuple[bytes, ...]:
    return b"%d" % expected, b"%d" % expected, b"%d" % size, ROOT, b"", b"a note"


async def test_a_batch_is_committed_and_found(peer: Peer) -> None:
    before, _ = await peer.height()
    placed = await append(peer, b"one batch")
    assert await peer.height() != (before, b"")
    assert placed.block == before
    found = await peer.evaluate("Find", hashlib.sha256(b"one batch").digest())
    assert json.loads(found) == [placed.transaction]
    assert b"one batch" in await peer.evaluate("Get", placed.transaction.encode())
    assert (await peer.height())[0] == before + 1


async def test_what_has_not_left_is_in_no_block(peer: Peer) -> None:
    endorsed = await peer.endorse("Append", b"kept back")
    assert await peer.committed(endorsed.transaction, 0.5) is None
    assert json.loads(await peer.evaluate("Find", hashlib.sha256(b"kept back").digest())) == []


async def test_one_transaction_sent_twice_is_valid_once(peer: Peer) -> None:
    endorsed = await peer.endorse("Append", b"twice")
    first = await settled(peer, endorsed)
    await peer.submit(endorsed)
    await append(peer, b"a later one, so that the copy has its block too")
    assert await peer.committed(endorsed.transaction, WAIT) == first
    assert json.loads(await peer.evaluate("Find", hashlib.sha256(b"twice").digest())) == [endorsed.transaction]


async def test_of_two_anchors_on_one_size_the_second_is_a_conflict(peer: Peer) -> None:
    both = [await peer.endorse("Anchor", *anchor(0, 5)) for _ in range(2)]
    for one in both:
        await peer.submit(one)
    assert await peer.committed(both[0].transaction, WAIT) is not None
    with pytest.raises(ConflictError, match="MVCC_READ_CONFLICT"):
        await peer.committed(both[1].transaction, WAIT)
    with pytest.raises(SizeMismatchError, match="have 5"):
        await peer.endorse("Anchor", *anchor(0, 6))
    assert json.loads(await peer.evaluate("Status"))["size"] == 5


async def test_two_appends_of_one_block_do_not_exclude_each_other(peer: Peer) -> None:
    both = [await peer.endorse("Append", b"author %d" % number) for number in range(2)]
    for one in both:
        await peer.submit(one)
    assert all([await peer.committed(one.transaction, WAIT) for one in both])


@pytest.mark.parametrize(
    ("function", "arguments", "error"),
    [
        ("Append", (b"",), InvalidError),
        ("Append", (bytes((1 << 20) + 1),), TooLargeError),
        ("Nope", (), InvalidError),
        ("Anchor", (b"1",), InvalidError),
        ("Get", (b"00" * 32,), NotFoundError),
        ("Get", (b"\xff",), InvalidError),
    ],
)
async def test_what_the_chaincode_refuses_has_its_words(
    peer: Peer, function: str, arguments: tuple[bytes, ...], error: type[LedgerError]
) -> None:
    with pytest.raises(error, match="the chaincode refuses it"):
        await peer.endorse(function, *arguments)
    with pytest.raises(error, match="the chaincode refuses it"):
        await peer.evaluate(function, *arguments)


async def test_an_attribute_of_the_certificate_admits(bridge: Bridge, network: FabricNetwork, peer: Peer) -> None:
    wanted = {"msp": "Org1MSP", "attribute": "metaledger.append", "value": "true"}
    policy = json.dumps({"append": [wanted], "admin": [{"msp": "Org1MSP"}]}).encode()
    await settled(peer, await peer.endorse("Configure", policy))
    with pytest.raises(NotAllowedError, match="Org1MSP may not append"):
        await peer.endorse("Append", b"batch")
    network.add_user("false", attributes={"metaledger.append": "false"})
    with pytest.raises(NotAllowedError):
        await Peer(bridge, network.profile("false")).endorse("Append", b"batch")
    network.add_user("true", attributes={"metaledger.append": "true"})
    await append(Peer(bridge, network.profile("true")), b"batch")


def mistakes(network: FabricNetwork) -> dict[str, tuple[Profile, type[LedgerError]]]:
    good = network.profile()
    certificate, key = self_made()
    network.add_user("expired", valid=timedelta(hours=-1))
    return {
        "a certificate of nobody": (replace(good, certificate=certificate, key=key), UnknownIdentityError),
        "another's key": (replace(good, key=key), UnknownIdentityError),
        "another MSP": (replace(good, msp="OtherMSP"), UnknownIdentityError),
        "an expired certificate": (network.profile("expired"), UnknownIdentityError),
        "another TLS authority": (replace(good, tls_ca=certificate), WrongAuthorityError),
        "another host": (replace(good, authority="nobody.test"), WrongAuthorityError),
        "no such channel": (replace(good, channel="other"), UnknownChannelError),
        "no such chaincode": (replace(good, chaincode="other"), NoChaincodeError),
    }


@pytest.mark.parametrize("call", sorted(CALLS))
async def test_each_mistake_in_reaching_a_peer_has_its_name(bridge: Bridge, network: FabricNetwork, call: str) -> None:
    asks_chaincode = call in {"evaluate", "endorse"}
    for name, (profile, error) in mistakes(network).items():
        if error is NoChaincodeError and not asks_chaincode:
            continue
        # A peer answers of a chaincode in an unknown channel, when it looks for endorsers, as of an unknown chaincode.
        expected = NoChaincodeError if (error is UnknownChannelError and call == "endorse") else error
        peer = Peer(bridge, profile)
        with pytest.raises(LedgerError) as raised:
            await CALLS[call](peer)
        assert type(raised.value) is expected, f"{name}: {raised.value!r}"
        await peer.close()


@pytest.mark.faketime
async def test_a_clock_that_is_an_hour_ahead_is_named(parts: tuple[Path, Path], network: FabricNetwork, tmp_path: Path) -> None:
    late = tmp_path / "java"
    late.write_text(f'#!/bin/sh\nexec faketime -f +3600s "{parts[0]}" "$@"\n')
    late.chmod(0o755)
    bridge = Bridge(late, parts[1])
    with pytest.raises(WrongClockError):
        await Peer(bridge, network.profile()).blocks(0, 5.0)
    await bridge.close()
