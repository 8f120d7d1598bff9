"""The rules of kinds over a live network: on the author's machine before anything is sent, and at the master for who sends all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.client.authoring import Wish
from ledger.client.publishing import Manner
from ledger.core.errors import ConflictError, SchemaMismatchError
from tests.support.live import content_of, open_client, size_of

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.errors import LedgerError
    from tests.support.live import LiveNetwork

PUMP: JSONObject = {
    "type": "object",
    "required": ["name", "bar"],
    "properties": {
        "name": {"type": "string", "pattern": "^pump-[0-9]+$"},
        "bar": {"type": "number", "maximum": 16},
        "unit": {"default": "bar"},
    },
    "additionalProperties": False,
}


def faults_of(error: LedgerError) -> list[tuple[object, object]]:
    """Return (id, pointer) of every fault that an error names."""
    policies = error.context["policies"]
    assert isinstance(policies, list)
    return [(one["id"], fault["pointer"]) for one in policies for fault in one["faults"]]


async def forced(client: LedgerClient, kind: str, policy_id: str, body: JSONObject, op: str = "put") -> None:
    """Send a statement as a program would that asks no rules before it signs."""
    await client.submit(Wish(op, kind, policy_id, body), Manner())


async def test_every_fault_of_every_policy_is_named_and_nothing_is_sent(live_network: LiveNetwork) -> None:
    async with live_network.client() as client:
        before = await size_of(live_network.home)
        policies: list[JSON] = [
            {"site": {"id": "sent-never", "name": "fine"}},
            {"operator": {"id": "op-x", "name": "", "port": "32148"}},
            {"cluster": {"id": "cl-x", "name": "x", "company": "x", "table": [{"dbms": "d", "name": "t"}, {"dbms": "d", "name": "t"}]}},
        ]
        with pytest.raises(SchemaMismatchError, match="operator op-x: /company: expected text that is not empty") as caught:
            [one async for one in client.publish(policies)]
        assert faults_of(caught.value) == [
            ("op-x", "/company"),
            ("op-x", "/ip"),
            ("op-x", "/name"),
            ("op-x", "/port"),
            ("cl-x", "/table/1"),
        ]
        assert await size_of(live_network.home) == before


async def test_a_master_refuses_what_no_author_checked(live_network: LiveNetwork) -> None:
    async with live_network.client() as client:
        with pytest.raises(SchemaMismatchError) as caught:
            await forced(client, "operator", "op-y", {"name": 5, "company": "acme", "ip": "10.1.0.1", "port": 0})
        assert faults_of(caught.value) == [("op-y", "/name"), ("op-y", "/port")]
        good: JSONObject = {"name": "op-y", "company": "acme", "ip": "10.1.0.1", "port": 1}
        await client.publish_one({"operator": {"id": "op-y", **good}})
        with pytest.raises(SchemaMismatchError) as caught:
            await forced(client, "operator", "op-y", {"port": None}, "patch")
        assert faults_of(caught.value) == [("op-y", "/port")]
        with pytest.raises(SchemaMismatchError, match="/json_schema: expected a JSON Schema that can be checked"):
            await client.submit(
                Wish(
                    "put",
                    "schema",
                    "schema.evil",
                    {"kind": "evil", "unique": [], "refs": [], "json_schema": {"$ref": "https://example.org/"}},
                ),
                Manner(as_root=True),
            )


async def test_a_network_adds_a_kind_while_it_runs(live_network: LiveNetwork) -> None:
    schema: JSONObject = {"id": "schema.pump", "kind": "pump", "unique": [["name"]], "refs": [], "json_schema": PUMP}
    async with live_network.client() as client:
        await client.publish_one({"pump": {"id": "p-0", "anything": 1}})
        results = [one async for one in client.publish([{"schema": schema}, {"pump": {"id": "p-1", "name": "pump-1", "bar": 10}}])]
        assert [one.result for one in results] == ["published", "published"]
        assert content_of(await client.policy("p-1"))["unit"] == "bar"
        with pytest.raises(SchemaMismatchError) as caught:
            await client.publish_one({"pump": {"id": "p-2", "name": "pump-x", "bar": 17, "colour": "red"}})
        assert faults_of(caught.value) == [("p-2", "/bar"), ("p-2", "/colour"), ("p-2", "/name")]
        with pytest.raises(SchemaMismatchError) as caught:
            await forced(client, "pump", "p-2", {"name": "pump-2", "bar": 17})
        assert faults_of(caught.value) == [("p-2", "/bar")]
        with pytest.raises(ConflictError, match="pump p-1 has the same name") as taken:
            await client.publish_one({"pump": {"id": "p-3", "name": "pump-1", "bar": 1}})
        assert taken.value.context["other"] == "p-1"


async def test_a_schema_that_changed_elsewhere_is_asked_for_before_a_policy_is_called_faulty(own_network: LiveNetwork) -> None:
    home = await own_network.join("author")
    schema: JSONObject = {"id": "schema.valve", "kind": "valve", "unique": [], "refs": [], "json_schema": {"required": ["size"]}}
    async with own_network.client() as admin:
        await admin.publish_one({"schema": schema})
    async with open_client(home) as author:
        with pytest.raises(SchemaMismatchError):
            await author.publish_one({"valve": {"id": "v-1"}})
        async with own_network.client() as admin:
            await admin.publish_one({"schema": {**schema, "json_schema": {"required": []}}})
        assert (await author.publish_one({"valve": {"id": "v-1"}})).result == "published"


async def test_clusters_have_names_of_their_own_and_children_those_of_their_parents(live_network: LiveNetwork) -> None:
    async with live_network.client() as client:
        await client.publish_one({"cluster": {"id": "north", "name": "north", "company": "acme"}})
        with pytest.raises(ConflictError, match='found "north", which cluster north has') as taken:
            await client.publish_one({"cluster": {"id": "north-2", "name": "north", "company": "other"}})
        assert taken.value.context["other"] == "north"
        with pytest.raises(ConflictError):
            await forced(client, "cluster", "north-2", {"name": "north", "company": "other"})
        with pytest.raises(SchemaMismatchError, match='/name: expected "north", as its parent north has, found "south"'):
            await forced(client, "cluster", "child", {"name": "south", "company": "acme", "parent": "north"})
        children: list[JSON] = [{"cluster": {"id": f"child-{n}", "name": "north", "company": "acme", "parent": "north"}} for n in range(2)]
        assert [one.error async for one in client.publish(children)] == [None, None]
        with pytest.raises(SchemaMismatchError, match=r"as its child child-\d has"):
            await client.patch("north", {"name": "renamed"})
        with pytest.raises(SchemaMismatchError, match=r"as its child child-\d has"):
            await forced(client, "cluster", "north", {"company": "renamed"}, "patch")
        mapping: JSONObject = {"dbms": "d", "table": "t", "schema": {"v": {"type": "int"}}, "import": ["north", "nothing-such"]}
        with pytest.raises(SchemaMismatchError, match='/import/1: expected the id of a live policy, found "nothing-such"'):
            await client.publish_one({"mapping": mapping})
