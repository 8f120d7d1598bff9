"""`status` says what is wrong between a home and its channel, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.peer import Peer
from ledger.home.home import Home
from tests.support.channel import ledger_url, write_identity
from tests.support.fabric.peers import carried
from tests.support.fabric.shape import MSP
from tests.support.fabric_identity import self_made
from tests.support.live import ledger_cli
from tests.support.troubled import Troubled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.fabric.shape import FabricNetwork

pytestmark = [pytest.mark.java, pytest.mark.timeout(120)]


def authority(one: Troubled) -> dict[str, str]:
    ledger_url(one.channel, one.folder, tls_ca=self_made()[0])
    return {}


def organisation(one: Troubled) -> dict[str, str]:
    wallet = Home(one.home).keys / "fabric.id"
    wallet.write_bytes(wallet.read_bytes().replace(b'"mspId":null', b'"mspId":"Org9MSP"'))
    return {}


def no_java(one: Troubled) -> dict[str, str]:
    return {"METALEDGER_JAVA_HOME": str(one.folder)}


def clock(one: Troubled) -> dict[str, str]:
    return {"METALEDGER_JAVA_HOME": str(one.folder / "ahead")}


def chaincode(one: Troubled) -> dict[str, str]:
    settings = Home(one.home).config
    settings.write_text(settings.read_text().replace("chaincode=metaledger", "chaincode=other"))
    return {}


def nobody(one: Troubled) -> dict[str, str]:
    for part in [part for part in one.channel.parts if part.startswith("peer")]:
        one.channel.kill(part)
    return {}


CASES: list[tuple[Callable[[Troubled], dict[str, str]], str, str]] = [
    (authority, "bad-source", "TLS CA certificate of its organisation"),
    (organisation, "not-allowed", "Check the MSP id"),
    (no_java, "missing-java", "Install a Java runtime"),
    (clock, "wrong-clock", "Set this machine's clock, or the peer's"),
    (chaincode, "not-found", "docs/hyperledger.md says how to deploy it"),
    (nobody, "unreachable", "Check the peer's address"),
]


@pytest.mark.faketime
async def test_who_writes_is_shown_and_what_keeps_a_home_from_its_channel_is_named(
    network: FabricNetwork, tmp_path: Path, parts: tuple[Path, Path]
) -> None:
    home = Troubled(network, tmp_path)
    ahead = tmp_path / "ahead" / "bin" / "java"
    ahead.parent.mkdir(parents=True)
    ahead.write_text(f'#!/bin/sh\nexec faketime -f +3600s "{parts[0]}" "$@"\n')
    ahead.chmod(0o755)
    status = home.status()
    assert status["state"] == "ok"
    account = status["account"]
    assert account["address"].startswith("Org1MSP/")
    assert (account["allowed"], account["problem"]) == (True, None)
    assert account["expires"] > "2026"
    network.kill("chaincode0")
    status = home.status()
    assert status["account"]["problem"] is not None
    assert "Start the chaincode's process" in status["advice"]
    for spoil, code, advice in CASES:
        status = home.status(**spoil(home))
        assert status["state"] == "unreachable"
        assert f"[{code}]" in status["ledger_error"]
        assert advice in status["advice"]
        home.sound()


async def test_who_may_not_append_any_more_is_told_whom_to_ask(network: FabricNetwork, bridge: Bridge, tmp_path: Path) -> None:
    home = Troubled(network, tmp_path)
    peer = Peer(bridge, network.profile())
    rule = {"msp": MSP, "attribute": "metaledger.append", "value": "true"}
    await carried(peer, await peer.endorse("Configure", json.dumps({"append": [rule], "admin": [{"msp": MSP}]}).encode()))
    account = home.status()["account"]
    assert (account["allowed"], "may not append" in account["problem"]) == (False, True)
    assert "Ask who administers the chaincode" in account["advice"]


async def test_a_chaincode_that_is_not_there_is_named_before_anything_is_written(network: FabricNetwork, tmp_path: Path) -> None:
    url = ledger_url(network, tmp_path).replace("chaincode=metaledger", "chaincode=other")
    words = ("create", "network", "sea", "--url", url, "--account", str(write_identity(network, tmp_path)))
    done = ledger_cli(tmp_path / "home", *words)
    assert done.returncode != 0
    assert "docs/hyperledger.md says how to deploy it" in done.stderr
    assert not (tmp_path / "home").exists()
