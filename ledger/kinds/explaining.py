"""A schema in words, attribute by attribute: what `explain` and docs/kinds.md show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import NotFoundError
from ledger.kinds.relations import RULES
from ledger.kinds.words import expected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.core.canonical import JSON, JSONObject

DEEPEST = 8
ANY_NAME = "*"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `name` is its path; `*` stands for any name. Inside a list it is that of each item."""

    name: str
    wants: str
    required: bool
    default: JSON
    description: str
    indexed: bool
    unique: tuple[tuple[str, ...], ...] = ()
    refers_to: str | None = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "name": self.name,
            "type": self.wants,
            "required": self.required,
            "default": self.default,
            "description": self.description,
            "indexed": self.indexed,
            "unique": [list(names) for names in self.unique],
            "refers_to": self.refers_to,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a `schema` policy says of its kind."""

    schema: str
    kind: str
    description: str
    unique: tuple[tuple[str, ...], ...]
    refs: tuple[JSONObject, ...]
    rules: tuple[str, ...]
    closed: bool
    attributes: tuple[Attribute, ...]
    example: JSON

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "kind": self.kind,
            "schema": self.schema,
            "description": self.description,
            "unique": [list(names) for names in self.unique],
            "refs": list(self.refs),
            "rules": list(self.rules),
            "other_attributes": not self.closed,
            "attributes": [attribute.facts() for attribute in self.attributes],
            "example": None if self.example is None else {self.kind: self.example},
        }

    def attribute(self, name: str) -> list[Attribute]:
        """Return the attribute of that path, then those inside it. NotFoundError when the schema names none."""
        found = [one for one in self.attributes if one.name == name or one.name.startswith(f"{name}.")]
        if not found or found[0].name != name:
            raise NotFoundError(f"the schema of {self.kind} has no attribute {name}", advice=f"See `ledger-cli explain {self.kind}`.")
        return found


def explain(schema: str, body: JSONObject) -> Explanation:
    """Explain the body of the schema policy of id `schema`."""
    kind, rule = str(body["kind"]), body.get("json_schema")
    unique = tuple(tuple(map(str, _list(names))) for names in _list(body["unique"]))
    refs = tuple(ref for ref in _list(body["refs"]) if isinstance(ref, dict))
    top = rule if isinstance(rule, dict) else {}
    examples = _list(top.get("examples"))
    return Explanation(
        schema=schema,
        kind=kind,
        description=_text(top.get("description")),
        unique=unique,
        refs=refs,
        rules=RULES.get(kind, ()),
        closed=top.get("additionalProperties") is False,
        attributes=tuple(_with_rules(one, unique, refs) for one in _attributes(top, "", DEEPEST)),
        example=examples[0] if examples else None,
    )


def _with_rules(attribute: Attribute, unique: tuple[tuple[str, ...], ...], refs: tuple[JSONObject, ...]) -> Attribute:
    of = [str(ref["kind"]) for ref in refs if ref["attr"] == attribute.name]
    return Attribute(
        attribute.name,
        attribute.wants,
        attribute.required,
        attribute.default,
        attribute.description,
        attribute.indexed,
        tuple(names for names in unique if attribute.name in names),
        of[0] if of else None,
    )


def _attributes(schema: JSONObject, before: str, depth: int) -> Iterator[Attribute]:
    """Yield the attributes of an object, each followed by those inside it."""
    properties, others = schema.get("properties"), schema.get("additionalProperties")
    named = list(properties.items()) if isinstance(properties, dict) else []
    if isinstance(others, dict):
        named.append((ANY_NAME, others))
    required = _list(schema.get("required"))
    named.sort(key=lambda pair: (pair[0] not in required, pair[0]))
    for name, one in named if depth else ():
        rule = one if isinstance(one, dict) else {}
        yield Attribute(
            name=before + name,
            wants=expected(one),
            required=name in required,
            default=rule.get("default"),
            description=_text(rule.get("description")),
            indexed=rule.get("index") is True,
        )
        for inner in (rule, rule.get("items"), *_list(rule.get("anyOf"))):
            if isinstance(inner, dict):
                yield from _attributes(inner, f"{before}{name}.", depth - 1)


def _text(value: JSON) -> str:
    return value if isinstance(value, str) else ""


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
