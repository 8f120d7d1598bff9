"""Schemas at work: faults by pointer, all at once; defaults; hostile schemas."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ConflictError, FormatError, SchemaMismatchError
from ledger.core.limits import LIMITS
from ledger.kinds import Fault, Faulty, KindSchema, fault_error, standard_schemas
from ledger.kinds.profile import MOST_SUBSCHEMAS
from ledger.kinds.reporting import require_schema
from ledger.kinds.standard import STANDARD_KINDS

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject

ANYLOG = {  # what AnyLog's own check on insert demands
    "operator": {"company", "name", "ip", "port"},
    "cluster": {"name", "company"},
    "table": {"name", "dbms", "create"},
    "mapping": {"dbms", "table", "schema"},
    "transform": {"dbms", "table", "column"},
    "license": {"activation_key", "expiration", "type"},
    "bucket": {"name", "operator"},
    "tag": {"dbms", "table", "ns"},
    "uns": {"name", "namespace"},
}


def schema_of(**json_schema: object) -> KindSchema:
    return KindSchema({"kind": "thing", "unique": [], "refs": [], "json_schema": json.loads(json.dumps(json_schema))})


def texts(schema: KindSchema, **body: object) -> list[str]:
    return [fault.text() for fault in schema.faults(json.loads(json.dumps(body)))]


@pytest.mark.parametrize("kind", STANDARD_KINDS)
def test_standard_schema_takes_its_example_quickly_and_asks_for_what_anylog_asks(kind: str) -> None:
    body = standard_schemas()[f"schema.{kind}"]
    schema = KindSchema(body)
    schema.require_usable()
    require_schema(schema.json_schema)
    assert isinstance(schema.json_schema, dict)
    examples = schema.json_schema["examples"]
    assert isinstance(examples, list)
    assert [schema.faults(example) for example in examples if isinstance(example, dict)] == [[]]
    missing = {fault.pointer.removeprefix("/") for fault in schema.faults({})} - {""}
    assert missing >= ANYLOG.get(kind, set())
    assert schema.unusable is None
    assert schema.is_quick
    assert len(json.dumps(body)) < 4_000


def test_additional_attributes_are_taken_unless_a_schema_says_otherwise() -> None:
    assert schema_of(properties={"a": {"type": "string"}}).faults({"a": "x", "b": {"c": [1]}}) == []
    closed = schema_of(properties={"a": {}}, additionalProperties=False)
    assert texts(closed, a=1, b=2, c=3) == [
        "/b: expected no attribute of that name, found 2",
        "/c: expected no attribute of that name, found 3",
    ]


def test_every_fault_is_named_by_its_pointer_with_what_was_expected() -> None:
    operator = KindSchema(standard_schemas()["schema.operator"])
    assert texts(operator, company="", name=5, port="32148", member=-1, rest_port=70000) == [
        '/company: expected text that is not empty, found ""',
        "/ip: expected text that is not empty (it is required), found nothing",
        "/member: expected an integer of at least 0, found -1",
        "/name: expected text that is not empty, found 5",
        '/port: expected an integer from 1 to 65535, found "32148"',
        "/rest_port: expected an integer from 1 to 65535, found 70000",
    ]
    cluster = KindSchema(standard_schemas()["schema.cluster"])
    assert texts(cluster, name="a", company="b", table=[{"dbms": "d"}, {"name": "x"}, 5]) == [
        "/table/1/dbms: expected text that is not empty (it is required), found nothing",
        "/table/2: expected an object, found 5",
    ]
    tag = KindSchema(standard_schemas()["schema.tag"])
    (fault,) = texts(tag, dbms="d", table="t", ns=1)
    assert fault.startswith("the policy: expected an object with node_iid or an object with node_sid, found {")


def attribute(**schema: object) -> dict[str, object]:
    return {"properties": {"a": schema}}


@pytest.mark.parametrize(
    ("json_schema", "value", "said"),
    [
        (attribute(enum=["x", 1, None]), True, 'one of "x", 1, null'),
        (attribute(pattern="^[a-z]+$"), "x1", "a value that matches ^[a-z]+$"),
        (attribute(type="array", uniqueItems=True), [1, 1], "a list with no item twice"),
        (attribute(**{"not": {"type": "string"}}), "x", "anything but text"),
        (attribute(type=["integer", "null"], multipleOf=5), 7, "an integer or null a multiple of 5"),
        ({"$defs": {"p": {"type": "boolean"}}, **attribute(**{"$ref": "#/$defs/p"})}, 1, "true or false"),
        (attribute(type="array", items={"type": "integer"}), {}, "a list of integers"),
        (attribute(exclusiveMinimum=0, maxLength=3), 0, "a value above 0 of at most 3 characters"),
        ({"properties": {"a": False}}, 1, "no attribute of that name"),
        ({"patternProperties": {"^a": False}}, 1, "no attribute of that name"),
        ({"patternProperties": {"^a": {"type": "number"}}}, "x", "a number"),
        (attribute(contains={"type": "null"}), [1], "[1] does not contain items matching the given schema"),
    ],
)
def test_each_keyword_says_what_it_wants(json_schema: dict[str, object], value: object, said: str) -> None:
    assert texts(schema_of(**json_schema), a=value) == [f"/a: expected {said}, found {json.dumps(value)}"]


@pytest.mark.parametrize(
    "json_schema",
    [
        {"required": ["a/b~"]},
        {"dependentRequired": {"a": ["a/b~"]}},
        {"if": {"required": ["a"]}, "then": {"required": ["a/b~"]}},
    ],
)
def test_what_is_missing_is_named_itself(json_schema: dict[str, object]) -> None:
    assert texts(schema_of(**json_schema), a=1) == ["/a~1b~0: expected anything (it is required), found nothing"]


def test_defaults_are_filled_in_where_nothing_stands() -> None:
    cluster = KindSchema(standard_schemas()["schema.cluster"])
    given = {"name": "a", "company": "b", "table": [{"dbms": "d"}, {"dbms": "e", "status": "off"}]}
    assert cluster.filled(json.loads(json.dumps(given))) == {
        **given,
        "status": "active",
        "table": [{"dbms": "d", "status": "active"}, {"dbms": "e", "status": "off"}],
    }
    whole = cluster.filled(json.loads(json.dumps(given)))
    assert cluster.filled(whole) is whole
    assert schema_of(properties={"a": {"default": None}}).filled({}) == {"a": None}
    odd = schema_of(properties={"a": {"properties": {"b": {"default": 1}}}, "c": 5}, items={"default": 2})
    assert odd.filled({"a": "text"}) == {"a": "text"}


@pytest.mark.parametrize(
    ("json_schema", "reason"),
    [
        ({"$ref": "https://example.org/schema.json"}, "leads out of the schema; nothing is ever fetched"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "leads out of the schema"),
        ({"$ref": "other.json#/a"}, "leads out of the schema"),
        ({"$ref": 5}, "leads out of the schema"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "leads back to itself"),
        ({"$ref": "#/$defs/none"}, "nothing stands at the reference"),
        ({"$ref": "#name"}, "is no JSON pointer"),
        ({"$dynamicRef": "#a"}, r"the keyword \$dynamicRef is not taken"),
        ({"$id": "https://example.org/"}, r"the keyword \$id is not taken"),
        ({"unevaluatedProperties": False}, "the keyword unevaluatedProperties is not taken"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "another dialect"),
        ({"pattern": "a" * 300}, "at most 256 characters"),
        ({"pattern": "(a)\\1"}, "RE2 does not take the pattern"),
        ({"pattern": "(?=a)b"}, "RE2 does not take the pattern"),
        ({"pattern": "(((a{100}){100}){100})"}, "RE2 does not take the pattern"),
        ({"patternProperties": {"[": {}}}, "RE2 does not take the pattern"),
        ({"pattern": "\\p{L}{900}"}, "RE2 does not take the pattern"),
        ({"anyOf": [{"type": "string"}] * (MOST_SUBSCHEMAS + 1)}, "subschemas"),
        ({"type": "bogus"}, "no JSON Schema: at /type"),
        ({"type": []}, "no JSON Schema: at /type"),
        ({"required": "name"}, "no JSON Schema: at /required"),
        ({"required": ["a", "a"]}, "no JSON Schema: at /required"),
        ({"minLength": -1}, "no JSON Schema: at /minLength"),
        ({"minLength": True}, "no JSON Schema: at /minLength"),
        ({"minimum": "5"}, "no JSON Schema: at /minimum"),
        ({"properties": []}, "no JSON Schema: at /properties"),
        ({"properties": {"a": 5}}, "no JSON Schema: at /properties/a"),
        ({"anyOf": []}, "no JSON Schema: at /anyOf"),
        ({"pattern": 5}, "no JSON Schema: at /pattern"),
        ({"enum": 5}, "no JSON Schema: at /enum"),
        ({"multipleOf": 0}, "no JSON Schema: at /multipleOf"),
    ],
)
def test_schema_without_bound_or_form_is_refused(json_schema: dict[str, object], reason: str) -> None:
    schema = schema_of(**json_schema)
    with pytest.raises(FormatError, match=reason):
        schema.require_usable()


@pytest.mark.parametrize("json_schema", [5, "text", None, [], 1.5])
def test_what_is_no_schema_at_all_is_refused_and_checks_nothing(json_schema: object) -> None:
    schema = KindSchema({"kind": "thing", "unique": [], "refs": [], "json_schema": json.loads(json.dumps(json_schema))})
    with pytest.raises(FormatError):
        schema.require_usable()
    assert schema.faults({"a": 1}) == []
    assert schema.filled({"a": 1}) == {"a": 1}


def test_true_and_nothing_take_everything_and_false_takes_nothing() -> None:
    nothing = KindSchema({"kind": "thing", "unique": [], "refs": []})
    nothing.require_usable()
    assert nothing.faults({"a": 1}) == []
    false = KindSchema({"kind": "thing", "unique": [], "refs": [], "json_schema": False})
    assert [fault.expected for fault in false.faults({"a": 1})] == ["nothing"]


def test_references_that_multiply_are_counted_out() -> None:
    defs: dict[str, object] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]} for n in range(40)}
    schema = schema_of(**{"$ref": "#/$defs/a0", "$defs": {**defs, "a40": {"type": "object"}}})
    with pytest.raises(FormatError, match="subschemas"):
        schema.require_usable()


def test_largest_policies_against_hostile_schemas_end_soon() -> None:
    """No figure is asserted but one that only a mistake exceeds: each of these takes minutes or for ever where nothing is bounded."""
    began = time.process_time()
    long: JSONObject = {"a": "a" * (LIMITS.body - 100) + "!"}
    assert len(schema_of(properties={"a": {"pattern": "^(a+)+$"}}).faults(long)) == 1
    assert len(schema_of(properties={"a": {"pattern": "(x+x+)+y" + "a?" * 120}}).faults(long)) == 1
    many: dict[str, object] = {"a": [[n] for n in range(5_000)] + [[0]]}
    body = json.loads(json.dumps(many))
    assert len(schema_of(properties={"a": {"uniqueItems": True}}).faults(body)) == 1
    (fault,) = schema_of(properties={"a": {"items": {"allOf": [{"not": {"type": "string"}}] * 200}}}).faults(body)
    assert fault.expected.startswith("a policy that is small enough")
    assert len(schema_of(properties={"a": {"items": {"type": "string"}}}).faults(body)) == 50
    deep: object = {}
    for _ in range(28):
        deep = {"a": deep}
    nested: dict[str, object] = {}
    for _ in range(20):
        nested = {"properties": {"a": nested}, "not": {"type": "null"}}
    assert schema_of(**nested).faults(json.loads(json.dumps({"a": deep}))) == []
    assert time.process_time() - began < 20


def test_huge_numbers_are_numbers() -> None:
    schema = schema_of(properties={"a": {"multipleOf": 3, "minimum": -(2**53 - 1), "maximum": 2**53 - 1}})
    schema.require_usable()
    assert schema.faults({"a": 2**53 - 2}) == []
    assert len(schema_of(properties={"a": {"multipleOf": 1e-300}}).faults({"a": 2**53 - 1})) <= 1
    assert schema_of(properties={"a": {"maximum": 9007199254740990}}).faults({"a": 9007199254740991}) != []


def test_error_names_some_faults_and_holds_all() -> None:
    faults = tuple(Fault(f"/{n}", "text", "nothing") for n in range(5))
    error = fault_error([Faulty("site", "a", faults, 1), Faulty("site", "b", faults[:1], 2)])
    assert isinstance(error, SchemaMismatchError)
    assert error.message.startswith("site a: /0: expected text, found nothing; ")
    assert error.message.endswith("; and 3 more")
    assert "explain site" in error.hint
    held = error.context["policies"]
    assert isinstance(held, list)
    assert [(one["place"], one["id"], len(one["faults"])) for one in held] == [(1, "a", 5), (2, "b", 1)]


def test_only_others_in_the_way_make_a_conflict() -> None:
    taken = Fault("/name", "a name", '"x"', "other-1")
    alone = fault_error([Faulty("cluster", "a", (taken,))])
    assert isinstance(alone, ConflictError)
    assert alone.context["other"] == "other-1"
    assert isinstance(fault_error([Faulty("cluster", "a", (taken, Fault("/b", "x", "y")))]), SchemaMismatchError)


@pytest.mark.parametrize("json_schema", [{"type": "bogus"}, {"required": 5}, {"properties": {"a": {"type": 5}}}, {"allOf": 5}])
def test_schema_of_no_form_checks_nothing_where_a_log_holds_it(json_schema: dict[str, object]) -> None:
    schema = schema_of(**json_schema)
    assert schema.faults({"a": 1}) == []
    assert schema.unusable is not None
