"""What a node does with a master that lies, with an author that is not, and with two masters of one log."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from typing import TYPE_CHECKING, Any

import apsw
import orjson
import pytest

from ledger.client.joining import join_home
from ledger.client.place import Place
from ledger.core.canonical import format_time
from ledger.core.envelope import Envelope, seal, sign
from ledger.core.errors import BadSourceError
from ledger.core.statement import Statement
from tests.support.live import LiveNetwork, Server, configure, eventually, open_client, reaches, size_of

if TYPE_CHECKING:
    from pathlib import Path


def alter_entry(database: Path, text: bytes) -> int:
    """Change one byte of the stored entry whose statement holds `text`, and nothing else; return its index."""
    with apsw.Connection(str(database)) as connection:
        rows: list[tuple[int, bytes]] = connection.execute("SELECT idx, bytes FROM entry ORDER BY idx").fetchall()  # type: ignore[assignment]  # the columns are known
        for index, entry in rows:
            if text in base64.b64decode(json.loads(entry)["payload"]):
                place = len(b'{"payload":"') + 40
                changed = bytearray(entry)
                changed[place] = ord("A") if changed[place] != ord("A") else ord("B")
                connection.execute("UPDATE entry SET bytes=? WHERE idx=?", (bytes(changed), index))
                return index
    raise AssertionError(f"no entry holds {text!r}")


async def readiness(network: LiveNetwork, node: Server) -> Any:
    async with network.transport(node.url) as transport:
        reply = await transport._once("GET", "/readyz", headers={}, body=None)  # a 503 is the answer here, not an error
        return orjson.loads(reply.body)


async def test_master_with_one_changed_byte_is_refused_by_those_who_come_afresh(own_network: LiveNetwork) -> None:
    network = own_network
    early, late = await network.join("early"), await network.join("late")
    async with network.client() as admin:
        line = await admin.invite("newcomer", "node")
    await network.publish(*(f"site {number}" for number in range(10)))
    size = await size_of(network.home)
    node = await asyncio.to_thread(network.start_node, early)
    await reaches(early, size)
    await asyncio.to_thread(network.master.stop)
    index = await asyncio.to_thread(alter_entry, network.home / "ledger.db", b'"site 4"')
    await asyncio.to_thread(network.master.restart)

    async with network.client() as admin:
        found = await admin.verify_ledger()
    assert (found["verified"], found["index"]) == (False, index)

    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "head.json"):
        await asyncio.to_thread((late / name).unlink, missing_ok=True)
    fresh = await asyncio.to_thread(network.start_node, late, poll=0.2)
    await eventually(lambda: bool(list((late / "evidence").glob("bad-source-*"))), "the evidence is kept")
    assert await readiness(network, fresh) == {"ready": False, "reason": "nothing is verified yet"}
    assert await size_of(late) == 0

    with pytest.raises(BadSourceError) as refused:
        await join_home(network.folder / "newcomer", line)
    case = json.loads(await asyncio.to_thread(open_text, str(refused.value.context["evidence"])))
    assert b"ledger.internal/live/" in base64.b64decode(case["notes"][0])

    assert await readiness(network, node) == {"ready": True}  # who verified before it was changed holds the true log
    async with open_client(early) as client:
        assert len((await client.get("site")).policies) == 10
    await asyncio.sleep(1.0)
    assert len(list((late / "evidence").iterdir())) == 1  # asked again and again, kept once


def open_text(path: str) -> str:
    with open(path) as file:  # noqa: PTH123 - a path in text
        return file.read()


async def test_two_masters_of_one_log_are_found_by_a_node_that_compares(own_network: LiveNetwork) -> None:
    network = own_network
    home = await network.join("witness")
    await network.publish("shared")
    await asyncio.to_thread(network.master.stop)
    other = network.folder / "other-master"
    await asyncio.to_thread(shutil.copytree, network.home, other)
    await asyncio.to_thread(network.master.restart)
    twin = Server("master", other)
    network.servers.append(twin)
    await asyncio.to_thread(twin.start)
    await asyncio.to_thread(configure, other, ledger=twin.url)

    await network.publish("told to one")
    size = await size_of(network.home)
    async with open_client(other) as admin:
        await admin.publish_one({"site": {"name": "told to the other"}})
        await admin.publish_one({"site": {"name": "and one more"}})
    node = await asyncio.to_thread(network.start_node, home, poll=0.1, sources=[twin.url])
    await reaches(home, size)

    async def stopped() -> bool:
        return "split-view" in str((await readiness(network, node)).get("reason"))

    await eventually(stopped, "the node finds that there are two views")
    cases: list[Path] = []

    def kept() -> bool:
        cases[:] = [one for one in (home / "evidence").glob("*.json") if not one.name.startswith("bad-source-")]
        return bool(cases)

    await eventually(kept, "the evidence is kept")
    (path,) = cases
    case = json.loads(await asyncio.to_thread(path.read_text))
    assert len(case["notes"]) == 2
    assert {one["whose"] for one in case["hashes"]} == {"replica", "source"}
    async with network.transport(node.url, home) as transport:  # stopped, not dumb
        reply = await transport.get("/v1/policies?kind=site")
        answer = orjson.loads(reply.body)
        assert "split-view" in (await transport.get("/checkpoint")).headers["metaledger-remark"]
    assert "split-view" in reply.headers["metaledger-remark"]
    assert [one["site"].get("name") for one in answer["policies"]].count("shared") == 1
    assert "split-view" in answer["remark"]
    await network.publish("not taken while stopped")
    await asyncio.sleep(1.0)
    assert await size_of(home) == size
    assert len(node.events("source-failed")) <= 3  # said once, not at every poll
    assert await asyncio.to_thread(node.stop) == 0


def site_by_admin(network: str, admin: str, name: str, now: float) -> Statement:
    return Statement(network, "put", "site", "forged-" + name.replace(" ", "-"), None, admin, format_time(int(now)), {"name": name})


async def test_forged_policies_are_refused(live_network: LiveNetwork) -> None:
    home = await live_network.join("forger")
    place = await asyncio.to_thread(Place.find, home)
    own = await asyncio.to_thread(place.key, "member")
    admin = await asyncio.to_thread(Place.find, live_network.home)
    admin_key = await asyncio.to_thread(admin.key, "member")
    assert own is not None
    assert admin_key is not None
    now = place.clock.now()
    named = sign(site_by_admin(live_network.network, admin_key.public.keyid, "in the name of the admin", now), [own])
    real = sign(site_by_admin(live_network.network, admin_key.public.keyid, "signed", now), [admin_key])
    other = site_by_admin(live_network.network, admin_key.public.keyid, "another body", now)
    moved = seal(other.payload, real.signatures)
    elsewhere = sign(site_by_admin("0" * 64, admin_key.public.keyid, "for another network", now), [admin_key])
    right = Statement(
        live_network.network, "put", "permissions", "permissions.own", None, own.public.keyid, format_time(int(now)),
        {"name": "permissions.own", "allow": [], "grant": []},
    )  # fmt: skip
    before = await size_of(live_network.home)
    source = await asyncio.to_thread(place.https)
    forged: list[Envelope] = [named, moved, elsewhere, sign(right, [own])]
    results = [await source.append([one.entry]) for one in forged]
    results.append(await source.append([one.entry for one in forged]))
    await source.close()
    codes = [[getattr(answer, "error", None) and answer.error.code for answer in answers] for answers in results]  # type: ignore[union-attr]  # refused ones have it
    assert codes[0] == ["bad-signature"]
    assert codes[1] == ["bad-signature"]
    assert codes[2] == ["conflict"]
    assert codes[3] == ["not-allowed"]
    assert codes[4] == ["bad-signature", "bad-signature", "conflict", "not-allowed"]
    assert await size_of(live_network.home) == before
