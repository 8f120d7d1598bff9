"""The rulebook over one state, and over what a batch adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.fold import judge
from ledger.core.state import Accepted, DictState
from ledger.kinds import Rulebook, standard_schemas
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from ledger.core.state import Record


class View(DictState):
    """The reference view, with the look-up that rules need besides: by reading through."""

    def clusters_named(self, name: str) -> list[Record]:
        return [record for record in self.of_kind("cluster") if record.content.get("name") == name]


class Network:
    """A small network with AnyLog's schemas; `put` lays a policy into its state as the fold does, past every rulebook."""

    def __init__(self) -> None:
        self.signer, self.view = SmallNetwork(), View()
        schemas = standard_schemas().items()
        for envelope in (*self.signer.first, *(self.signer.signed("put", "schema", name, body, "root") for name, body in schemas)):
            self._take(envelope)

    def put(self, kind: str, policy_id: str, body: JSONObject) -> None:
        self._take(self.signer.signed("put", kind, policy_id, body))

    def drop(self, kind: str, policy_id: str) -> None:
        self._take(self.signer.signed("drop", kind, policy_id, None))

    def _take(self, envelope: object) -> None:
        verdict = judge(self.view, envelope, 0)  # type: ignore[arg-type]  # an envelope
        assert isinstance(verdict, Accepted), verdict
        self.view.apply(verdict)


@pytest.fixture
def network() -> Network:
    return Network()


def cluster(name: str, **more: str) -> JSONObject:
    return {"name": name, "company": "acme", **more}


def found(book: Rulebook, kind: str, policy_id: str, body: JSONObject) -> list[tuple[str, str | None]]:
    return [(fault.pointer, fault.other) for fault in book.faults(kind, policy_id, body)]


def test_a_batch_is_judged_as_if_what_came_before_were_in_force(network: Network) -> None:
    book = Rulebook(network.view)
    child = cluster("north", parent="n-1")
    assert found(book, "cluster", "n-1", cluster("north")) == []
    book.take("cluster", "n-1", cluster("north"))
    assert found(book, "cluster", "n-2", cluster("north")) == [("/name", "n-1")]
    assert found(book, "cluster", "n-1", cluster("north", note="again")) == []
    assert found(book, "cluster", "child", child) == []
    book.take("cluster", "child", child)
    assert found(book, "cluster", "n-1", cluster("north", note="again")) == []  # its child has its name
    assert found(book, "cluster", "child", {**child, "company": "other", "name": "south"}) == [("/name", None), ("/company", None)]
    assert found(book, "cluster", "n-1", cluster("south")) == [("/name", None)]
    book.take("cluster", "child", {**child, "parent": "elsewhere"})
    assert found(book, "cluster", "n-1", cluster("south")) == []


def test_what_a_batch_replaces_counts_no_more(network: Network) -> None:
    network.put("cluster", "n-1", cluster("north"))
    book = Rulebook(network.view)
    assert found(book, "cluster", "n-2", cluster("north")) == [("/name", "n-1")]
    book.take("cluster", "n-1", cluster("renamed"))
    assert found(book, "cluster", "n-2", cluster("north")) == []
    assert found(book, "cluster", "n-2", cluster("renamed")) == [("/name", "n-1")]


def test_what_was_dropped_is_not_there(network: Network) -> None:
    network.put("cluster", "n-1", cluster("north"))
    network.put("transform", "t-1", {"dbms": "d", "table": "t", "column": "c"})
    mapping: JSONObject = {"dbms": "d", "table": "t", "schema": {"c": {"type": "string"}}, "import": "t-1"}
    assert found(Rulebook(network.view), "mapping", "m-1", mapping) == []
    for kind, policy_id in (("cluster", "n-1"), ("transform", "t-1")):
        network.drop(kind, policy_id)
    book = Rulebook(network.view)
    assert found(book, "mapping", "m-1", mapping) == [("/import", None)]
    assert found(book, "cluster", "n-1", cluster("south")) == []
    assert found(book, "cluster", "n-2", cluster("south", parent="n-1")) == []


def test_a_schema_in_a_batch_holds_for_what_follows(network: Network) -> None:
    book = Rulebook(network.view)
    assert found(book, "pump", "p", {}) == []
    schema: JSONObject = {"kind": "pump", "unique": [], "refs": [], "json_schema": {"required": ["bar"]}}
    assert book.faults("schema", "schema.pump", schema) == []
    book.take("schema", "schema.pump", schema)
    assert found(book, "pump", "p", {}) == [("/bar", None)]
    assert book.schema("member") is None
    assert book.schema("nosuch") is None


@pytest.mark.parametrize("body", [{}, {"kind": 5}, {"kind": "pump", "json_schema": True}])
def test_what_is_no_schema_policy_is_left_to_the_fold(network: Network, body: JSONObject) -> None:
    assert Rulebook(network.view).faults("schema", "s", body) == []


@pytest.mark.parametrize(
    "body",
    [
        {"name": 5, "company": 5, "parent": 5, "table": 5},
        {"name": None, "company": "a", "parent": ["n-1"], "table": [None, 5, [], {}]},
        {"name": "north", "company": "acme", "parent": "self"},
        {"name": "x", "company": "acme", "parent": "nobody"},
    ],
)
def test_odd_clusters_give_faults_and_no_exception(network: Network, body: JSONObject) -> None:
    network.put("cluster", "n-1", cluster("north"))
    assert isinstance(Rulebook(network.view).faults("cluster", "self", body), list)


def test_imports_of_a_mapping_are_there(network: Network) -> None:
    network.put("cluster", "n-1", cluster("north"))
    mapping: JSONObject = {"dbms": "d", "table": "t", "schema": {"v": {"type": "int"}}}
    book = Rulebook(network.view)
    assert found(book, "mapping", "m", {**mapping, "import": "n-1"}) == []
    assert found(book, "mapping", "m", {**mapping, "import": "none"}) == [("/import", None)]
    assert found(book, "mapping", "m", {**mapping, "import": ["n-1", "none"]}) == [("/import/1", None)]
