"""Which JSON Schemas are taken (draft 2020-12): those whose checking is bounded, whoever wrote them.

Taken are the keywords below, and any other as an annotation. Not taken is what reaches outside or makes work without a bound:
references to anywhere but the schema itself, references that lead back to themselves, dynamic ones, `unevaluated…`, and more
than `MOST_SUBSCHEMAS` subschemas when every reference is written out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import FormatError
from ledger.kinds.patterns import compile_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSON, JSONObject

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_SUBSCHEMAS = 512
DEEPEST = 48
ONE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("dependentSchemas", "patternProperties", "properties")
REFUSED = frozenset(
    {
        "$anchor", "$dynamicAnchor", "$dynamicRef", "$id", "$recursiveAnchor", "$recursiveRef", "$vocabulary",
        "unevaluatedItems", "unevaluatedProperties",
    }
)  # fmt: skip


def require_bounded(schema: JSON) -> int:
    """Return how many subschemas there are, references written out. Raises FormatError for a schema that is not taken."""
    if not isinstance(schema, dict | bool):
        raise FormatError("a JSON Schema is an object, true or false")
    if isinstance(schema, dict) and schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#"):
        raise FormatError(f"another dialect than {DIALECT}")
    walk = _Walk(schema)
    walk.visit(schema, (), 0)
    return walk.count


class _Walk:
    """One pass over every subschema, following references."""

    def __init__(self, schema: JSON) -> None:
        self._schema = schema
        self.count = 0

    def visit(self, schema: JSON, followed: tuple[str, ...], depth: int) -> None:
        self.count += 1
        if self.count > MOST_SUBSCHEMAS or depth > DEEPEST:
            raise FormatError(f"more than {MOST_SUBSCHEMAS} subschemas, or deeper than {DEEPEST}, when every reference is written out")
        if not isinstance(schema, dict):
            return
        refused = sorted(REFUSED & schema.keys())
        if refused:
            raise FormatError(f"the keyword {refused[0]} is not taken")
        _check_patterns(schema)
        if "$ref" in schema:
            self._follow(schema["$ref"], followed, depth)
        for one in subschemas(schema):
            self.visit(one, followed, depth + 1)

    def _follow(self, reference: JSON, followed: tuple[str, ...], depth: int) -> None:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise FormatError(f"the reference {str(reference)[:80]!r} leads out of the schema; nothing is ever fetched")
        if reference in followed:
            raise FormatError(f"the reference {reference[:80]!r} leads back to itself")
        self.visit(resolve(self._schema, reference), (*followed, reference), depth + 1)


def subschemas(schema: JSONObject) -> Iterator[JSON]:
    """Yield the subschemas that a schema applies, references aside."""
    for name in ONE:
        if name in schema:
            yield schema[name]
    for name in LISTS:
        found = schema.get(name)
        yield from found if isinstance(found, list) else ()
    for name in NAMED:
        named = schema.get(name)
        yield from named.values() if isinstance(named, dict) else ()


def resolve(schema: JSON, reference: str) -> JSON:
    """Return what `#/a/b` points at (RFC 6901). Raises FormatError when nothing stands there."""
    found = schema
    for step in reference[1:].split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and name.isascii() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise FormatError(f"nothing stands at the reference {reference[:80]!r}")
    if reference[1:2] not in ("", "/"):
        raise FormatError(f"the reference {reference[:80]!r} is no JSON pointer")
    return found


def _check_patterns(schema: JSONObject) -> None:
    if isinstance(schema.get("pattern"), str):
        compile_pattern(str(schema["pattern"]))
    named = schema.get("patternProperties")
    for pattern in named if isinstance(named, dict) else ():
        compile_pattern(pattern)
