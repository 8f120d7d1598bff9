from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.canonical import sha256_hex
from ledger.core.errors import UsageError
from ledger.core.state import Accepted, Record
from ledger.engine.pages import Cursor, page_of, parse_cursor
from ledger.engine.queries import Budget, Search
from ledger.engine.store import Store
from ledger.query import parse_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.engine.pages import Page
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.transaction import Transaction

IAT = "2026-11-20T10:00:00Z"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "ledger.db", create=True)
    put_all(store, {f"s{number}": {"n": number % 10, "even": number % 2 == 0} for number in range(25)})
    yield store
    store.close()


def put(store: Store, policy: str, body: JSONObject | None) -> None:
    put_all(store, {policy: body})


def put_all(store: Store, bodies: Mapping[str, JSONObject | None]) -> None:
    """Put or drop sites, one entry each, in one transaction."""

    def work(transaction: Transaction) -> None:
        for policy, body in bodies.items():
            before = transaction.view.record(policy)
            index = transaction.add(f"{transaction.size}".encode())
            first = index if before is None else before.first
            digest = sha256_hex(str(index).encode())
            record = Record("site", policy, body is not None, digest, index, first, "root", "root", IAT, body)
            transaction.accept(index, Accepted((record,)))

    store.write_now(work)


def page(store: Store, query: str, cursor: Cursor, most: int) -> Page:
    def work(snapshot: Snapshot) -> Page:
        return page_of(Search(snapshot, cursor.now, Budget()), parse_query(query), cursor, most)

    return store.read_now(work)


def ids(found: Page) -> list[str]:
    return [str(policy["site"]["id"]) for policy in found.rows]  # type: ignore[index]  # rows of one policy each


QUERIES = ["site", "site where even = true", "site order by n desc", "site where n > 2 limit 7", "site order by n limit 12", "site limit 5"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("most", [1, 4, 5, 25, 100])
def test_pages_together_are_the_answer_at_the_first_page_whatever_comes_between(store: Store, query: str, most: int) -> None:
    whole = ids(page(store, query, Cursor(25, 0, ""), 1_000))
    cursor: Cursor | None = Cursor(25, 0, "")
    found: list[str] = []
    while cursor is not None:
        one = page(store, query, cursor, most)
        assert len(one.rows) <= most
        found += ids(one)
        cursor = None if one.next is None else parse_cursor(one.next.encode(), "")
        put(store, f"s{len(found) % 25}", {"n": 5, "even": True})
        put(store, f"s{(len(found) + 1) % 25}", None)
    assert found == whole
    assert whole


def test_what_is_brought_comes_in_pages_too(store: Store) -> None:
    query = "site order by n bring.json [id]"
    first = page(store, query, Cursor(25, 0, ""), 20)
    assert first.brought is not None
    assert first.next is not None
    second = page(store, query, first.next, 20)
    assert second.brought is not None
    assert len(first.brought.values) == 20
    assert len(second.brought.values) == 5
    assert second.next is None
    single = page(store, "site bring.count", Cursor(25, 0, ""), 1)
    assert single.brought is not None
    assert single.brought.as_json() == 25


def test_a_cursor_keeps_the_time(store: Store) -> None:
    query = "site where date > now - 1h"
    at = 1_795_168_800  # IAT
    assert page(store, query, Cursor(25, at, ""), 5).next is not None
    assert page(store, query, Cursor(25, at + 7_200, ""), 5).rows == ()


def test_a_cursor_is_good_for_its_query() -> None:
    cursor = Cursor(7, 8, "tag", 9, 10)
    assert parse_cursor(cursor.encode(), "tag") == cursor
    with pytest.raises(UsageError, match="of another query"):
        parse_cursor(cursor.encode(), "other")


@pytest.mark.parametrize(
    "text", ["", "x", "e30", "WzEsMl0", "Wy0xLDAsIiIsMCwwXQ", "W3RydWUsMCwiIiwwLDBd", "é", "A" * 600, "WzFd", "W251bGxd"]
)
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no cursor"):
        parse_cursor(text, "")
