"""A master that may be on an old backup: it signs nothing, says so, goes on being read, and an operator can decide."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import orjson
import pytest

from auth.keystore import KeyStore, generate_key
from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import UsageError
from ledger.core.note import Note, log_line, parse_note
from tests.support.masters import running_network

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.keys import PrivateKey
    from tests.support.masters import Network, Reply


async def head_of(network: Network) -> Checkpoint:
    return parse_checkpoint(parse_note((await network.get("/checkpoint")).body).text)


def signed(head: Checkpoint, key: PrivateKey) -> bytes:
    return Note(head.text, (log_line(head.text, head.origin, key),)).encode()


async def present(network: Network, note: bytes) -> Reply:
    return await network.call("POST", "/v1/checkpoints", headers={"Content-Type": "text/plain"}, body=note)


async def log_key(network: Network) -> PrivateKey:
    return await asyncio.to_thread(KeyStore(network.home.keys).load, "log")


async def test_own_checkpoint_is_known(network: Network) -> None:
    await network.publish(network.put("site", {"name": "one"}))
    reply = await present(network, (await network.get("/checkpoint")).body)
    assert reply.json == {"known": True, "size": (await head_of(network)).size}
    assert (await network.publish(network.put("site", {"name": "two"}))).status == 201


async def test_checkpoint_of_a_stranger_counts_for_nothing(network: Network) -> None:
    head = await head_of(network)
    reply = await present(network, signed(Checkpoint(head.origin, head.size + 100, bytes(32)), generate_key()))
    assert (reply.status, reply.json["code"]) == (422, "bad-signature")
    assert (await network.publish(network.put("site", {"name": "one"}))).status == 201


@pytest.mark.parametrize("larger", [100, 0])
async def test_checkpoint_that_does_not_fit_stops_the_signing(network: Network, larger: int) -> None:
    before = await head_of(network)
    note = signed(Checkpoint(before.origin, before.size + larger, b"\x01" * 32), await log_key(network))
    assert (await present(network, note)).json == {"known": False, "size": before.size}
    assert (await present(network, note)).json["known"] is False

    refused = await network.publish(network.put("site", {"name": "one"}))
    assert (refused.status, refused.json["code"]) == (503, "fork-risk")
    ready = await network.get("/readyz")
    assert (ready.status, ready.json["ready"]) == (503, False)
    assert (await network.get("/v1/status", who=network.admin)).json["fork_risk"]
    assert await head_of(network) == before
    assert (await network.get("/v1/policies", who=network.admin)).status == 200
    kept = [path.read_bytes() for path in await asyncio.to_thread(lambda: list(network.home.evidence.iterdir()))]
    assert note in kept
    assert len(kept) == 2
    assert any(line["event"] == "fork-risk-presented" for line in network.lines())


async def test_risk_outlives_a_restart_until_an_operator_decides(network: Network, tmp_path: Path) -> None:
    head = await head_of(network)
    await present(network, signed(Checkpoint(head.origin, head.size + 1, b"\x01" * 32), await log_key(network)))
    await network.master.stop()

    async with running_network(network.home.path, tmp_path / "again") as again:
        assert (await again.publish(again.put("site", {"name": "one"}))).json["code"] == "fork-risk"
        assert await head_of(again) == head
    with pytest.raises(UsageError, match="entries"):
        async with running_network(network.home.path, tmp_path / "wrong", accept_fork_risk=head.size + 1):
            pass
    async with running_network(network.home.path, tmp_path / "decided", accept_fork_risk=head.size) as decided:
        assert (await decided.get("/readyz")).status == 200
        assert (await decided.publish(decided.put("site", {"name": "one"}))).status == 201
    async with running_network(tmp_path / "decided", tmp_path / "later") as later:
        assert (await later.get("/readyz")).status == 200


async def test_home_without_its_head_file_signs_nothing(network: Network, tmp_path: Path) -> None:
    await network.master.stop()
    await asyncio.to_thread(network.home.head_file.unlink)
    async with running_network(network.home.path, tmp_path / "restored") as restored:
        assert (await restored.get("/checkpoint")).status == 200
        assert (await restored.publish(restored.put("site", {"name": "one"}))).json["code"] == "fork-risk"


async def test_older_database_than_what_left_signs_nothing(network: Network, tmp_path: Path) -> None:
    reply = await network.publish(network.put("site", {"name": "one"}))
    await network.master.stop()
    left = orjson.loads(await asyncio.to_thread(network.home.head_file.read_bytes))
    assert left["size"] > reply.json["index"]
    text = json.dumps({**left, "size": left["size"] + 5})
    await asyncio.to_thread(network.home.head_file.write_text, text)
    async with running_network(network.home.path, tmp_path / "restored") as restored:
        assert (await restored.publish(restored.put("site", {"name": "two"}))).json["code"] == "fork-risk"
