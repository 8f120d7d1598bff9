"""LedgerClient against a live master: what an acknowledgement is, who wins, and what is unknown."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from ledger.client.https import HttpsBackend
from ledger.client.place import Place
from ledger.core.errors import ConflictError, FormatError, LedgerError, NotFoundError, ProofError, UnreachableError, VersionMismatchError
from tests.support.counting import counting
from tests.support.live import LiveNetwork, content_of, ledger_cli

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject


async def test_every_acknowledgement_is_proof(live_network: LiveNetwork) -> None:
    policies: list[JSONObject] = [{"site": {"name": f"proof {number}"}} for number in range(5)]
    async with live_network.client() as author:
        results = [result async for result in author.publish(policies)]
        for policy, result in zip(policies, results, strict=True):
            assert result.receipt is not None
            verified = author.verify_receipt(result.receipt, policy=policy)
            assert (verified.index, verified.digest) == (result.index, result.digest)
            assert author.verify_receipt(await author.receipt(result.id)).digest == result.digest
        with pytest.raises(ProofError):
            author.verify_receipt(results[0].receipt or b"", policy=policies[1])
        again = await author.publish_one(policies[0])
        assert (again.result, again.digest) == ("unchanged", results[0].digest)


async def test_two_authors_who_do_not_know_of_each_other_both_come_through(live_network: LiveNetwork) -> None:
    """The second follows a version that is no longer the last; it syncs and publishes again. With `expect` it does not."""
    home = await live_network.join("second-author", "admin")
    async with live_network.client() as first, live_network.client(home) as second:
        made = await first.publish_one({"site": {"id": "contended", "turn": 1}})
        assert made.digest is not None
        await second.sync()
        await first.publish_one({"site": {"id": "contended", "turn": 2}})
        taken = await second.publish_one({"site": {"id": "contended", "turn": 3}})
        assert taken.result == "published"
        with pytest.raises(VersionMismatchError):
            await second.publish_one({"site": {"id": "contended", "turn": 4}}, expect=made.digest)
        assert content_of(await first.policy("contended"))["turn"] == 3
        assert [version.record.content["turn"] for version in await first.history("contended")] == [1, 2, 3]


async def test_patch_drop_and_return(live_network: LiveNetwork) -> None:
    async with live_network.client() as author:
        made = await author.publish_one({"site": {"name": "changing", "city": "Rome", "gates": 4}})
        await author.patch(made.id, {"city": "Oslo", "gates": None})
        shown = content_of(await author.policy(made.id))
        assert shown["city"] == "Oslo"
        assert "gates" not in shown
        await author.drop(made.id)
        with pytest.raises(NotFoundError, match="was dropped"):
            await author.policy(made.id)
        with pytest.raises(NotFoundError):
            await author.patch(made.id, {"city": "Bern"})
        back = await author.publish_one({"site": {"id": made.id, "name": "changing again"}})
        assert [version.op for version in await author.history(made.id)] == ["put", "patch", "drop", "put"]
        assert back.index is not None
        before = await author.get("site", "name = changing", at=back.index)
        assert before.policies == []


async def test_refusals_stand_beside_what_was_taken(live_network: LiveNetwork) -> None:
    home = await live_network.join("not-an-admin")
    async with live_network.client() as admin, live_network.client(home) as member:
        others = await admin.publish_one({"site": {"id": "of-the-admin", "name": "mine"}})
        results = [
            result
            async for result in member.publish(
                [
                    {"site": {"id": "of-the-member", "name": "own"}},
                    {"site": {"id": others.id, "name": "taken over"}},
                    {"site": {"id": "of-the-member-too", "name": "own, too"}},
                ]
            )
        ]
        assert [result.result for result in results] == ["published", "refused", "published"]
        assert results[1].error is not None
        assert results[1].error.code == "not-allowed"
        with pytest.raises(FormatError):
            await member.publish_one({"Not a kind": {}})


async def test_uniqueness_and_references_of_the_network_hold(live_network: LiveNetwork) -> None:
    async with live_network.client() as author:
        await author.publish_one({"operator": {"id": "op-1", "name": "op-1", "ip": "10.0.0.1", "port": 32148, "company": "acme"}})
        with pytest.raises(ConflictError):
            await author.publish_one({"operator": {"id": "op-2", "name": "op-2", "ip": "10.0.0.1", "port": 32148, "company": "acme"}})


async def test_watch_tells_what_comes_into_force(live_network: LiveNetwork) -> None:
    home = await live_network.join("watching")
    async with live_network.client(home) as watcher:
        await watcher.sync()
        heard: list[tuple[str, str]] = []

        async def listen() -> None:
            async with aclosing(watcher.watch()) as changes:  # type: ignore[type-var]  # every watch is a generator
                async for change in changes:
                    heard.append((change.op, change.id))
                    if len(heard) == 2:
                        return

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.3)
        (made,) = await live_network.publish("watched")
        async with live_network.client() as author:
            await author.drop(made.id)
        await asyncio.wait_for(task, 20)
    assert heard == [("put", made.id), ("drop", made.id)]


async def test_lost_answer_is_asked_for_again_and_has_one_effect(live_network: LiveNetwork) -> None:
    """The connection breaks after the statement was sent: the client sends the same one again and gets the first placement."""
    place = await asyncio.to_thread(Place.find, live_network.home)
    async with counting(live_network.url) as wire:
        backend = HttpsBackend(await asyncio.to_thread(lambda: place.transport(url=wire.url)))
        await backend.head()
        await backend.transport.token()
        (made,) = await live_network.publish("sent twice")
        assert made.receipt is not None
        async with live_network.client() as author:
            (seen,) = await author.entries(made.index or 0, (made.index or 0) + 1)
        await wire.cut()
        (placed,) = await backend.append([seen.entry])
        assert getattr(placed, "index", None) == made.index
        assert wire.connections >= 2
        await backend.close()


async def test_absent_master_is_unreachable(own_network: LiveNetwork) -> None:
    network = own_network
    home = await network.join("left-alone")
    await asyncio.to_thread(network.master.stop)
    async with network.client(home) as client:
        with pytest.raises(UnreachableError):
            await client.publish_one({"site": {"name": "to nobody"}})
        assert (await client.get("member")).policies  # what was verified is still there
    done = await asyncio.to_thread(ledger_cli, home, "publish", "policy", "-", text='{"site": {"name": "to nobody"}}')
    assert done.returncode == 4
    assert done.stdout == ""


async def test_errors_of_the_master_arrive_as_what_they_are(live_network: LiveNetwork) -> None:
    async with live_network.transport() as transport:
        with pytest.raises(NotFoundError):
            await transport.get("/v1/policies/nothing-of-this-name")
        with pytest.raises(LedgerError) as refused:
            await transport.get("/v1/policies?kind=not%20a%20kind")
        assert refused.value.code == "usage"
