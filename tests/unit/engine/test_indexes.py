from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ConflictError, NotFoundError, TooCostlyError, UsageError
from ledger.engine.indexes import IndexChange, parse_change, stored_indexes
from ledger.engine.queries import Budget, Search, search
from ledger.engine.store import Store
from ledger.query import parse_query
from tests.unit.engine.test_pages import put, put_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.engine.snapshot import Snapshot


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "ledger.db", create=True)
    put_all(
        store,
        {
            f"s{number}": {"n": number, "name": f"name {number:03}", "ip": f"10.0.{number % 4}.1", "tags": ["x", str(number % 7)]}
            for number in range(300)
        },
    )
    yield store
    store.close()


def change(store: Store, kind: str, attribute: str, *, drop: bool = False) -> None:
    wanted = IndexChange.of(kind, attribute, drop=drop)
    store.write_now(lambda transaction: transaction.change_indexes(wanted.apply))


def explained(store: Store, text: str, size: int | None = None) -> dict[str, object]:
    query = parse_query(text)

    def work(snapshot: Snapshot) -> dict[str, object]:
        asked = Search(snapshot, 0, Budget())
        return (asked if size is None else asked.as_of(size)).explain(query.kinds, query.where)

    return store.read_now(work)


def found(store: Store, text: str, budget: Budget | None = None) -> list[str]:
    query = parse_query(text)
    return store.read_now(lambda snapshot: [one.id for one in Search(snapshot, 0, budget or Budget()).find(query.kinds, query.where)])


def test_an_index_is_made_listed_and_dropped(store: Store) -> None:
    assert store.read_now(lambda snapshot: stored_indexes(snapshot.connection)) == []
    change(store, "site", "n")
    change(store, "site", "[site][net][ip]")
    with pytest.raises(ConflictError, match="already"):
        change(store, "site", "n")
    facts = store.read_now(lambda snapshot: [one.facts() for one in stored_indexes(snapshot.connection)])
    assert facts == [{"kind": "site", "attribute": "n", "by": ["local"]}, {"kind": "site", "attribute": "net.ip", "by": ["local"]}]
    change(store, "site", "n", drop=True)
    with pytest.raises(NotFoundError):
        change(store, "site", "n", drop=True)
    ((rows,),) = store.read_now(lambda snapshot: snapshot.connection.execute("SELECT count(*) FROM attribute_key").fetchall())
    assert rows == 0


@pytest.mark.parametrize(
    ("query", "candidates"),
    [
        ("site where n = 7", 1),
        ("site where n in (1, 2, 3)", 3),
        ("site where n >= 290", 10),
        ("site where n > 10 and n < 21", 10),
        ("site where n > 10 and n < 21 and name startswith 'name 01'", 10),
        ("site where n > 10 and name startswith 'name 01'", 10),
        ("site where n = 7 or name = 'name 008'", 2),
        ("site where ip in 10.0.3.0/24", 75),
        ("site where tags = 3", None),
        ("site where tags = '3'", 43),
        ("site where id in (s1, s2)", 2),
        ("site where id = s1 and n > 0", 1),
        ("all where id = s1", 1),
        ("(site, site) where n = 7", 1),
        ("site where n != 7", None),
        ("site where name contains 01", None),
        ("site where name = 'NAME 001' ci", None),
        ("site where n = 7 or absent = 1", None),
        ("site where exists n", None),
        ("(site, other) where n = 7", None),
        ("all where n = 7", None),
        ("site", None),
    ],
)
def test_a_plan_looks_at_what_an_index_names(store: Store, query: str, candidates: int | None) -> None:
    for attribute in ("n", "name", "ip", "tags"):
        change(store, "site", attribute)
    if query == "site where tags = 3":
        assert explained(store, query)["candidates"] == 0
        return
    facts = explained(store, query)
    assert (facts["scan"], facts["candidates"]) == (candidates is None, candidates)
    assert ("attribute_key" in str(facts["sqlite"]) or "version_id" in str(facts["sqlite"])) is (candidates is not None)
    with_index = found(store, query)
    for attribute in ("n", "name", "ip", "tags"):
        change(store, "site", attribute, drop=True)
    assert found(store, query) == with_index


def test_versions_that_ended_are_passed_over_now_and_found_in_the_past(store: Store) -> None:
    change(store, "site", "n")
    for _ in range(40):
        put(store, "s7", {"n": 1000})
    assert explained(store, "site where n = 1000")["candidates"] == 1
    assert explained(store, "site where n = 7")["candidates"] == 0
    assert explained(store, "site where n = 7", size=300)["candidates"] == 1
    put(store, "s7", None)
    assert explained(store, "site where n = 1000")["candidates"] == 0


def test_what_every_policy_shows_is_indexed_too(store: Store) -> None:
    change(store, "site", "date")
    change(store, "site", "absent")
    put(store, "new", {"n": 1000})
    every = found(store, "site where date != ''")
    assert "new" in every
    assert "new" in found(store, "site where date > '1970-01-01'")
    assert found(store, "site where absent = 1") == []


def test_a_query_ends_when_it_costs_too_much(store: Store) -> None:
    with pytest.raises(TooCostlyError, match="costs more than it may"):
        found(store, "site where name contains 1", Budget(steps=100))
    assert found(store, "site where name = 'name 001'") == ["s1"]


async def test_a_search_hears_that_nobody_waits(store: Store) -> None:
    budget = Budget()
    budget.cancel()
    assert budget.tick()
    query = parse_query("site where tags contains 9 or name = 'name 001'")
    (one,) = await search(store, lambda asked: asked.find(query.kinds, query.where), now=0)
    assert one.id == "s1"
    with pytest.raises(TooCostlyError):
        await search(store, lambda asked: asked.select(query), now=0, steps=100)


async def test_a_search_that_is_cancelled_ends(store: Store) -> None:
    query = parse_query("site where n = 7")
    begun = threading.Event()

    def for_ever(asked: Search) -> None:
        while asked.find(query.kinds, query.where):
            begun.set()

    await asyncio.to_thread(change, store, "site", "n")
    task = asyncio.create_task(search(store, for_ever, now=0, steps=2**60))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(store.close)  # it waits for every thread that reads


NO_CHANGES = (
    *(b"", b"[]", b'{"kind":"site"}', b'{"kind":"no kind","attribute":"a"}', b'{"kind":"site","attribute":"a b"}'),
    *(b'{"kind":1,"attribute":"a"}', b'{"kind":"site","attribute":"id"}', b'{"kind":"site","attribute":"a","drop":1}'),
    b'{"kind":"site","attribute":"a","x":1}',
)


@pytest.mark.parametrize("text", NO_CHANGES)
def test_what_is_no_change_of_an_index_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        parse_change(text)


def test_a_change_is_what_it_says() -> None:
    assert parse_change(b'{"kind":"site","attribute":"net.ip","drop":true}') == IndexChange("site", ("net", "ip"), drop=True)
    assert parse_change(b'{"kind":"site","attribute":"[a.b]"}').names == ("a.b",)


def test_a_kind_has_a_number_of_indexes(store: Store) -> None:
    for number in range(32):
        change(store, "other", f"a{number}")
    with pytest.raises(UsageError, match="32 indexes already"):
        change(store, "other", "more")
