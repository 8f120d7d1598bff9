"""Whole queries, with second ones, hierarchies and bring, have one answer: that of the reference and that of an indexed store."""

from __future__ import annotations

import json
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.canonical import sha256_hex
from ledger.core.errors import InvalidError
from ledger.core.state import Accepted, Record
from ledger.engine.indexes import add_index
from ledger.engine.queries import Budget, Search
from ledger.engine.store import Store
from ledger.query import parse_query
from ledger.query.answer import answer
from tests.support.query_table import Listed, policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSON
    from ledger.engine.transaction import Transaction
    from ledger.query.answer import Source

IAT = "2026-11-21T10:00:00Z"
INDEXES = (("uns", "parent"), ("operator", "cluster"), ("loop", "parent"), ("gauge", "value"), ("cluster", "id2"))
KINDS = (
    "uns",
    "operator",
    "cluster",
    "loop",
    "part",
    "gauge",
    "all",
    "(uns, part)",
    "*",
    "store",
    "root policies",
    "root policies include zone uns",
)
ATTRIBUTES = (
    "name",
    "id",
    "parent",
    "port",
    "cluster",
    "value",
    "unit",
    "table.name",
    "date",
    "tags",
    "rooms.seats.no",
    "operator",
    "namespace",
)
VALUES = ("nova", "u1", "c1", "100", "9", "'9'", "true", "acme", "l2", "bar", "2026-01-15", "d1", "nobody", "-1.5")
FORMS = (
    *("json", "list", "table", "count", "unique", "first", "recent", "sort", "sort(0)", "min", "max", "ip_port", "null"),
    *("children", "children(*)", "children(2)", "parents(*)", "paths", "tree", "tree(1)"),
)
PARTS = (
    *("[name]", "[id]", "[*][parent]", "[*]", "[]", "[parents]", "[paths][0][name]", "[table][][name]", "[port]:[value]"),
    *("[operator][name]", "[m][name]", ":", "text"),
)


def joined(strategy: st.SearchStrategy[str], most: int, separator: str, least: int = 0) -> st.SearchStrategy[str]:
    return st.lists(strategy, min_size=least, max_size=most).map(separator.join)


ATTRIBUTE = st.sampled_from(ATTRIBUTES)
LEAF = st.one_of(
    st.builds("{} {} {}".format, ATTRIBUTE, st.sampled_from(["=", "!=", "<", ">=", "contains", "startswith"]), st.sampled_from(VALUES)),
    st.builds("{} in ({})".format, ATTRIBUTE, joined(st.sampled_from(VALUES), 3, ", ", 1)),
    st.builds("{} {}".format, ATTRIBUTE, st.sampled_from(["exists", "is null", "is not null", "not exists"])),
)
CONDITION = st.recursive(
    LEAF,
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner) | inner.map("not {}".format),
    max_leaves=4,
)
SECOND = st.builds(
    " {}{} (get {} where {} = [*][{}]{}){}".format,
    st.sampled_from(["", "inner ", "left "]),
    st.sampled_from(["with", "join", "merge"]),
    st.sampled_from(KINDS[:10]),
    ATTRIBUTE,
    st.sampled_from(["id", "name", "parent", "cluster", "operator"]),
    st.just("") | CONDITION.map(" and {}".format),
    st.sampled_from(["", " as m"]),
)
BRING = st.builds(
    " bring{} {}".format,
    st.lists(st.sampled_from(FORMS), max_size=2).map(lambda names: "".join(f".{name}" for name in names)),
    joined(st.sampled_from(PARTS), 3, " "),
)
QUERIES = st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(KINDS),
    st.just("") | CONDITION.map(" where {}".format),
    st.just("") | SECOND,
    st.just("") | st.builds(" order by {}{}".format, ATTRIBUTE, st.sampled_from(["", " desc"])),
    st.just("") | st.integers(1, 5).map(" limit {}".format),
    st.just("") | BRING,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The policies of the conformance table in an indexed store."""

    def fill(transaction: Transaction) -> None:
        for number, (kind, policy, body) in enumerate(taken_apart()):
            index = transaction.add(b"entry %d" % number)
            record = Record(kind, policy, True, sha256_hex(b"%d" % number), index, index, "root", "root", IAT, body)
            transaction.accept(index, Accepted((record,)))

    with closing(Store.open(tmp_path_factory.mktemp("queries") / "ledger.db", create=True)) as found:
        found.write_now(fill)
        for kind, attribute in INDEXES:
            change = partial(add_index, kind=kind, names=(attribute,), by_hand=True)
            found.write_now(partial(_change, change=change))
        yield found


def _change(transaction: Transaction, change: partial[None]) -> None:
    transaction.change_indexes(change)


def taken_apart() -> Iterator[tuple[str, str, dict[str, JSON]]]:
    """Yield kind, id and body of each policy, whole numbers as canonical JSON reads back."""
    for policy in json.loads(json.dumps(policies()), parse_float=whole):
        ((kind, content),) = policy.items()
        yield kind, content["id"], {name: value for name, value in content.items() if name != "id"}


def whole(text: str) -> float:
    return int(float(text)) if float(text).is_integer() else float(text)


LISTED = Listed([{kind: {**body, "id": policy, "ledger": "global"}} for kind, policy, body in taken_apart()])


def answered(text: str, source: Source) -> object:
    """Return all there is to an answer, or the words of the refusal."""
    try:
        found = answer(parse_query(text), source)
    except InvalidError as error:
        return error.message
    rows = list(found.rows) if found.brought is None else [found.brought.as_json(), found.brought.as_text()]
    return json.loads(json.dumps([rows, found.cycles], allow_nan=False))


@given(QUERIES)
def test_the_store_answers_as_the_reference(store: Store, text: str) -> None:
    assert store.read_now(lambda snapshot: answered(text, Search(snapshot, 0, Budget()))) == answered(text, LISTED)
