"""A schema in words, and the page that is made of them."""

from __future__ import annotations

import json

import pytest

from ledger.core.errors import NotFoundError
from ledger.kinds import explain, standard_schemas
from ledger.kinds.words import expected
from tests.support.kinds_page import PAGE, page

CHOICE = "an object that is an object with a or else an object with b and c"
MAPPING = explain("schema.mapping", standard_schemas()["schema.mapping"])


def test_the_page_of_kinds_is_current() -> None:
    text = PAGE.read_text()
    assert text == page(text), "run: python -m tests.support.kinds_page"


def test_attributes_are_named_by_their_paths_the_required_first() -> None:
    names = [one.name for one in MAPPING.attributes]
    assert names[:3] == ["dbms", "schema", "schema.*"]
    assert {"schema.*.type", "schema.*.bring", "table"} <= set(names)
    assert MAPPING.attribute("schema.*")[0].name == "schema.*"
    assert MAPPING.attribute("import")[0].wants == "text or a list"
    with pytest.raises(NotFoundError, match="has no attribute"):
        MAPPING.attribute("schema.none")
    with pytest.raises(NotFoundError):
        MAPPING.attribute("sche")


def test_what_the_fold_enforces_stands_beside_the_attributes() -> None:
    operator = explain("schema.operator", standard_schemas()["schema.operator"])
    (port,), (cluster,) = operator.attribute("port"), operator.attribute("cluster")
    assert (port.unique, port.refers_to, port.required) == ((("ip", "port"),), None, True)
    assert (cluster.unique, cluster.refers_to, cluster.indexed) == ((("cluster", "member"),), "cluster", True)
    facts = operator.facts()
    assert list(facts) == ["kind", "schema", "description", "unique", "refs", "rules", "other_attributes", "attributes", "example"]
    assert json.dumps(facts)
    assert explain("s", {"kind": "k", "unique": [], "refs": [], "json_schema": {"additionalProperties": False}}).closed


@pytest.mark.parametrize("json_schema", [True, False, 5, None, [], {"properties": 5, "required": 5, "examples": 5, "description": 5}])
def test_any_schema_can_be_explained(json_schema: object) -> None:
    body = json.loads(json.dumps({"kind": "k", "unique": [["a"]], "refs": [], "json_schema": json_schema}))
    assert explain("schema.k", body).attributes == ()


def test_an_endless_schema_ends() -> None:
    deep: dict[str, object] = {}
    for _ in range(20):
        deep = {"properties": {"a": deep}, "items": deep}
    body = json.loads(json.dumps({"kind": "k", "unique": [], "refs": [], "json_schema": deep["properties"]}))
    assert len(explain("schema.k", body).attributes) < 1_000


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "anything"),
        (True, "anything"),
        (False, "nothing"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "an integer from 1 to 9"),
        ({"type": "number", "maximum": 9}, "a number of at most 9"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text or null"),
        (
            {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b", "c"]}]},
            CHOICE,
        ),
        ({"type": "string", "minLength": 2, "maxLength": 1}, "text of at least 2 characters of at most 1 character"),
        ({"enum": ["a", 1]}, 'one of "a", 1'),
        ({"const": {"a": 1}}, '{"a": 1}'),
        ({"type": "bogus"}, "bogus"),
    ],
)
def test_a_subschema_in_words(schema: object, words: str) -> None:
    assert expected(json.loads(json.dumps(schema))) == words
