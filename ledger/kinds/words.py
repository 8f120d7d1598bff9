"""A subschema and a value in words, for faults, `explain` and docs/kinds.md."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.canonical import JSON, JSONObject

LONGEST = 60  # characters of a value that are shown
TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
CHOICES: Mapping[str, str] = {"anyOf": " or ", "oneOf": " or else "}
VALUE = "a value"
PLURALS: Mapping[str, str] = {"string": "text", "integer": "integers", "number": "numbers", "array": "lists", "object": "objects"}


def expected(schema: JSON) -> str:
    """Return what a subschema asks for: `an integer from 1 to 65535`, `text of at least 1 character`."""
    if not isinstance(schema, dict):
        return "nothing" if schema is False else "anything"
    if "const" in schema:
        return shown(schema["const"])
    if isinstance(schema.get("enum"), list):
        return "one of " + ", ".join(shown(value) for value in _list(schema["enum"]))
    choices = [joint.join(map(expected, _list(schema[name]))) for name, joint in CHOICES.items() if isinstance(schema.get(name), list)]
    words = " ".join([_types(schema), *_number(schema), *_length(schema), *_others(schema)])
    if words == VALUE:
        return " and ".join(choices) or "anything"
    return " ".join([words, *(f"that is {one}" for one in choices)])


def _types(schema: JSONObject) -> str:
    found = schema.get("type")
    names = [str(name) for name in found] if isinstance(found, list) else [str(found)] if isinstance(found, str) else []
    words = " or ".join(TYPES.get(name, name) for name in names) or ("an object" if "required" in schema else VALUE)
    items = schema.get("items")
    return f"{words} of {plural(items)}" if names == ["array"] and isinstance(items, dict) and "type" in items else words


def plural(schema: JSONObject) -> str:
    """Return what the items of a list are: `text`, `integers`."""
    kind = schema.get("type")
    return PLURALS.get(kind, "values") if isinstance(kind, str) else "values"


def _number(schema: JSONObject) -> list[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        found = [f"from {shown(low)} to {shown(high)}"]
    else:
        found = [f"{word} {shown(limit)}" for word, limit in (("of at least", low), ("of at most", high)) if limit is not None]
    others = (("above", "exclusiveMinimum"), ("below", "exclusiveMaximum"), ("a multiple of", "multipleOf"))
    return found + [f"{word} {shown(schema[name])}" for word, name in others if name in schema]


def _length(schema: JSONObject) -> list[str]:
    if schema.get("minLength") == 1 and "maxLength" not in schema:
        return ["that is not empty"]
    found: list[str] = []
    for one, many, names in (
        ("character", "characters", ("minLength", "maxLength")),
        ("item", "items", ("minItems", "maxItems")),
        ("attribute", "attributes", ("minProperties", "maxProperties")),
    ):
        for word, name in zip(("at least", "at most"), names, strict=True):
            if name in schema:
                found.append(f"of {word} {shown(schema[name])} {one if schema[name] == 1 else many}")
    return found


def _others(schema: JSONObject) -> list[str]:
    found: list[str] = []
    if "pattern" in schema:
        found.append(f"that matches {schema['pattern']}")
    if schema.get("uniqueItems") is True:
        found.append("with no item twice")
    if isinstance(schema.get("required"), list) and "type" not in schema:
        found.append("with " + " and ".join(map(str, _list(schema["required"]))))
    return found


def shown(value: JSON) -> str:
    """Return a value as JSON, cut when it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
