"""What reached a ledger past every admission is in force, and `status` names it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.client.report import describe
from ledger.client.slips import PAUSE_SECONDS, Lookout, find_slips
from ledger.core.fold import judge
from ledger.core.state import Accepted
from ledger.engine.store import Store
from ledger.kinds import standard_schemas
from tests.support.small_network import SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.client.slips import Slips
    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction
    from tests.support.live import LiveNetwork


class Chain:
    """A log in which everything stands that the fold accepts: nobody admits anything, as on a chain."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.network = SmallNetwork()
        self.add(*self.network.first)

    def add(self, *envelopes: Envelope) -> None:
        def work(transaction: Transaction) -> None:
            for envelope in envelopes:
                verdict = judge(transaction.view, envelope, transaction.size)
                assert isinstance(verdict, Accepted), verdict
                transaction.accept(transaction.add(envelope.entry), verdict)

        self.store.write_now(work)

    def schema(self, body: JSONObject) -> None:
        self.add(self.network.signed("put", "schema", f"schema.{body['kind']}", body, "root"))

    def put(self, kind: str, policy_id: str, **body: object) -> None:
        self.add(self.network.signed("put", kind, policy_id, dict(body)))  # type: ignore[arg-type]  # plain JSON

    def slips(self) -> Slips:
        return self.store.read_now(find_slips)

    def named(self) -> list[tuple[str, list[str]]]:
        return sorted((one.id, [fault.pointer for fault in one.faults]) for one in self.slips().first)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    store = Store.open(tmp_path / "ledger.db", create=True)
    yield Chain(store)
    store.close()


def test_policies_that_no_author_should_have_signed_are_found(chain: Chain) -> None:
    chain.put("operator", "older", name="is older than the schema")
    for kind in ("operator", "cluster"):
        chain.schema(standard_schemas()[f"schema.{kind}"])
    chain.put("cluster", "a", name="same", company="acme")
    chain.put("cluster", "b", name="same", company="acme")
    chain.put("cluster", "child", name="other", company="acme", parent="a")
    chain.put("cluster", "twice", name="twice", company="acme", table=[{"dbms": "d"}, {"dbms": "d"}])
    chain.put("operator", "bad", name="bad", company="acme", ip="", port=0)
    chain.put("operator", "good", name="good", company="acme", ip="10.0.0.1", port=1)
    assert chain.named() == [
        ("a", ["/name"]),
        ("b", ["/name"]),
        ("bad", ["/ip", "/port"]),
        ("child", ["/name"]),
        ("twice", ["/table/1"]),
    ]
    assert (chain.slips().count, chain.slips().looked_at) == (5, 6)
    chain.put("operator", "bad", name="bad", company="acme", ip="10.0.0.2", port=2)
    assert [name for name, _ in chain.named()] == ["a", "b", "child", "twice"]


def test_a_schema_that_cannot_be_checked_is_named_and_checks_nothing(chain: Chain) -> None:
    chain.schema({"kind": "thing", "unique": [], "refs": [], "json_schema": {"$ref": "https://example.org/", "required": ["a"]}})
    chain.schema({"kind": "other", "unique": [], "refs": [], "json_schema": {"type": "bogus"}})
    chain.schema({"kind": "odd", "unique": [], "refs": [], "json_schema": 5})
    chain.put("thing", "x", b=1)
    chain.put("other", "y", b=1)
    slips = chain.slips()
    assert (slips.count, [schema for schema, _ in slips.unusable]) == (0, ["schema.thing", "schema.other", "schema.odd"])
    assert "nothing is ever fetched" in slips.unusable[0][1]


def test_many_are_counted_and_the_first_twenty_named(chain: Chain) -> None:
    chain.schema({"kind": "thing", "unique": [], "refs": [], "json_schema": {"required": ["a"]}})
    chain.add(*chain.network.things(60))
    slips = chain.slips()
    assert (slips.count, slips.looked_at, len(slips.first)) == (60, 60, 20)


async def test_a_server_looks_at_a_size_once_and_rests(chain: Chain) -> None:
    clock = TurnedClock()
    lookout = Lookout(chain.store, clock)

    async def seen() -> tuple[object, object]:
        found = await lookout.facts()
        return found["size"], found["count"]

    await asyncio.to_thread(chain.schema, {"kind": "thing", "unique": [], "refs": [], "json_schema": {"required": ["a"]}})
    size = (await asyncio.to_thread(chain.store.read_now, lambda snapshot: snapshot.head())).size
    first = await lookout.facts()
    assert (first["size"], first["count"], first["first"]) == (size, 0, [])
    clock.turn(PAUSE_SECONDS)
    assert await lookout.facts() is first  # nothing has changed
    await asyncio.to_thread(chain.add, *chain.network.things(1))
    assert await seen() == (size + 1, 1)
    await asyncio.to_thread(chain.put, "thing", "late", b=1)
    assert await seen() == (size + 1, 1)
    clock.turn(PAUSE_SECONDS)
    assert await asyncio.gather(*(seen() for _ in range(3))) == [(size + 2, 2)] * 3


async def test_status_says_that_nothing_slipped_through(live_network: LiveNetwork) -> None:
    async with live_network.client() as client:
        await client.publish_one({"cluster": {"id": "status-1", "name": "status-1", "company": "acme"}})
        said = await describe(client.copy)
        breaches = said["breaches"]
        assert isinstance(breaches, dict)
        assert (breaches["count"], breaches["first"], breaches["unusable_schemas"]) == (0, [], [])
        assert breaches["looked_at"] >= 1
