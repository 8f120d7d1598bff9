"""Indexes made from the command line: beside nobody, beside an agent, beside a master; and plans explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.functional.cli.test_served import joined
from tests.support.live import Server
from tests.support.reference import documented_shapes

if TYPE_CHECKING:
    from tests.support.command import Cli
    from tests.support.live import LiveNetwork

SHAPES = dict(documented_shapes())
QUERY = ("operator", "where", "company = Zeta", "and", "lift", "=", "7")


def made(cli: Cli) -> list[tuple[str, str]]:
    """Return what was indexed by hand."""
    found = cli("get", "indexes", "-o", "json").good().json
    return [(one["kind"], one["attribute"]) for one in found if "local" in one["by"]]


def test_an_index_is_used_as_soon_as_it_is_there(cli: Cli) -> None:
    before = cli("get", *QUERY, "-o", "json").good().json
    plan = cli("explain", "query", "lamp where lift > 7", "-o", "json").good().json
    assert list(plan) == SHAPES["explain query QUERY"]
    assert plan["scan"] is True
    assert "looks at every policy of lamp" in cli("explain", "query", "lamp where lift > 7").good().out
    cli("create", "index", "lamp", "[lamp][lift]").good()
    assert made(cli) == [("lamp", "lift")]
    (shape,) = {tuple(one) for one in cli("get", "indexes", "-o", "json").json}
    assert list(shape) == SHAPES["get indexes"]
    assert cli("explain", "query", "lamp", "where", "lift > 7", "-o", "json").good().json["scan"] is False
    assert "by the index lamp lift: 7 < key" in cli("explain", "query", "lamp where lift > 7").good().out
    cli.publish({"lamp": {"id": "low", "lift": 7}}, {"lamp": {"id": "high", "lift": 700}}, {"lamp": {"id": "many", "lift": [1, 8]}})
    assert cli("get", "lamp where lift > 7", "-o", "id").good().out.split() == ["high", "many"]
    assert cli("get", *QUERY, "-o", "json").good().json == before
    cli("drop", "index", "lamp", "lift").good()
    assert made(cli) == []
    assert cli("get", "lamp where lift > 7", "-o", "id").good().out.split() == ["high", "many"]


def test_what_follows_the_condition_is_said_in_words(cli: Cli) -> None:
    query = "lamp with (get operator where id = [lamp][maker]) order by lift limit 3 bring.list [local_ip]:[ip]"
    assert cli("explain", "query", query).good().out.splitlines()[-4:] == [
        "then finds operator where id = [lamp][maker], by index; puts them beside; rows without a match are left out",
        "then orders by lift",
        "then keeps the first 3",
        "then brings list of [local_ip], else [ip]",
    ]


def test_what_cannot_be_indexed_is_refused(cli: Cli) -> None:
    assert cli("create", "index", "lamp", "a b").code == 2
    assert cli("create", "index", "no kind", "a").code == 2
    assert cli("create", "index", "lamp", "id").code == 2
    assert cli("drop", "index", "lamp", "a").code == 1
    cli("create", "index", "lamp", "a").good()
    assert cli("create", "index", "lamp", "a").code == 5
    assert cli("explain", "query", "lamp where").code == 2


def test_a_server_that_keeps_the_copy_makes_the_index(network: LiveNetwork, admin: Cli) -> None:
    node = joined(network, "indexing")
    node("create", "index", "lamp", "lift").good()
    agent = Server("node", node.home)
    agent.start()
    try:
        node("create", "index", "lamp", "net.ip").good()
        assert node("create", "index", "lamp", "net.ip").code == 5
        assert made(node) == [("lamp", "lift"), ("lamp", "net.ip")]
        node("drop", "index", "lamp", "lift").good()
    finally:
        agent.stop()
    assert made(node) == [("lamp", "net.ip")]
    admin("create", "index", "lamp", "lift").good()
    assert made(admin) == [("lamp", "lift")]
    admin.publish({"lamp": {"id": "beside-a-master", "lift": 12}})
    assert admin("get", "lamp where lift = 12", "-o", "id").good().out == "beside-a-master\n"


def test_a_new_network_indexes_what_its_schemas_mark(reader: Cli) -> None:
    found = reader("get", "indexes", "-o", "json").good().json
    assert {"kind": "operator", "attribute": "name", "by": ["schema"]} in found
    assert reader("explain", "query", "operator where name = acme", "-o", "json").good().json["candidates"] == 1
    assert reader("get", "operator where name = acme", "-o", "id").out == "acme\n"
    assert reader("drop", "index", "operator", "name").code == 5
