"""A quick yes: most policies are good, and a few microseconds can tell so for the schemas that people write.

`compile_quick` makes closures of the keywords it knows, when what they say has the form of draft 2020-12. What the closures pass is
valid; what they do not pass, and every schema with another keyword, goes to the library (`reporting`), which alone says what is
wrong. A property test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger.core.canonical import JSON, JSONObject, encode
from ledger.kinds.patterns import compile_pattern
from ledger.kinds.profile import LISTS, NAMED, ONE

if TYPE_CHECKING:
    from collections.abc import Mapping

Check = Callable[[JSON], bool]

KNOWN = frozenset(
    {
        "additionalProperties", "anyOf", "const", "enum", "exclusiveMaximum", "exclusiveMinimum", "items", "maxItems", "maxLength",
        "maximum", "minItems", "minLength", "minProperties", "minimum", "pattern", "properties", "required", "type",
    }
)  # fmt: skip
OTHERS = frozenset(
    {
        *ONE, *LISTS, *NAMED, "$ref", "dependentRequired", "maxContains", "maxProperties", "minContains", "multipleOf", "uniqueItems",
        "dependencies",
    }
) - KNOWN  # fmt: skip


class UnknownKeywordError(Exception):
    """The schema says something that only the library knows."""


def compile_quick(schema: JSON) -> Check | None:
    """Return a check that is true only for valid values, None when the schema has keywords that are not known here."""
    try:
        return _compile(schema)
    except UnknownKeywordError:
        return None


def _compile(schema: JSON) -> Check:
    if isinstance(schema, bool):
        return _always if schema else _never
    if not isinstance(schema, dict) or OTHERS & schema.keys():
        raise UnknownKeywordError
    checks = [*_type(schema), *_numbers(schema), *_texts(schema), *_values(schema), *_lists(schema), *_objects(schema), *_any(schema)]
    if len(checks) == 1:
        return checks[0]
    return _all(tuple(checks)) if checks else _always


def _always(_value: JSON) -> bool:
    return True


def _never(_value: JSON) -> bool:
    return False


def _all(checks: tuple[Check, ...]) -> Check:
    def check(value: JSON) -> bool:
        for one in checks:  # noqa: SIM110 - a generator costs as much as the checks
            if not one(value):
                return False
        return True

    return check


def _is_integer(value: JSON) -> bool:
    return type(value) is int or (type(value) is float and value.is_integer())


TYPES: Mapping[str, Check] = {
    "string": lambda value: type(value) is str,
    "integer": _is_integer,
    "number": lambda value: type(value) is int or type(value) is float,
    "boolean": lambda value: type(value) is bool,
    "array": lambda value: type(value) is list,
    "object": lambda value: type(value) is dict,
    "null": lambda value: value is None,
}


def _type(schema: JSONObject) -> list[Check]:
    if "type" not in schema:
        return []
    found = schema["type"]
    names = _texts_of(found if isinstance(found, list) else [found])
    if not names or any(name not in TYPES for name in names):
        raise UnknownKeywordError
    checks = tuple(TYPES[name] for name in names)
    return [checks[0]] if len(checks) == 1 else [lambda value: any(check(value) for check in checks)]


def _numbers(schema: JSONObject) -> list[Check]:
    tests = {"minimum": float.__ge__, "maximum": float.__le__, "exclusiveMinimum": float.__gt__, "exclusiveMaximum": float.__lt__}
    return [_bound(schema[name], test) for name, test in tests.items() if name in schema]


def _bound(limit: JSON, test: Callable[[float, float], bool]) -> Check:
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise UnknownKeywordError
    edge = float(limit)  # exact: a number in a policy is at most 2^53 - 1
    return lambda value: bool((type(value) is not int and type(value) is not float) or test(float(value), edge))


def _texts(schema: JSONObject) -> list[Check]:
    found = _sizes(schema, str, "Length")
    if "pattern" in schema:
        (pattern,) = _texts_of([schema["pattern"]])
        matches = compile_pattern(pattern)
        found.append(lambda value: type(value) is not str or matches(value))
    return found


def _sizes(schema: JSONObject, kind: type[str | list[JSON]], unit: str) -> list[Check]:
    found: list[Check] = []
    least, most = _count(schema, f"min{unit}"), _count(schema, f"max{unit}")
    if least is not None:
        found.append(lambda value: type(value) is not kind or len(value) >= least)
    if most is not None:
        found.append(lambda value: type(value) is not kind or len(value) <= most)
    return found


def _count(schema: JSONObject, name: str) -> int | None:
    found = schema.get(name)
    if name not in schema:
        return None
    if type(found) is int and found >= 0:
        return found
    raise UnknownKeywordError


def _values(schema: JSONObject) -> list[Check]:
    found: list[Check] = []
    if "const" in schema:
        wanted = encode(schema["const"])
        found.append(lambda value: encode(value) == wanted)
    if "enum" in schema:
        allowed = frozenset(map(encode, _items(schema["enum"])))
        found.append(lambda value: encode(value) in allowed)
    return found


def _lists(schema: JSONObject) -> list[Check]:
    found = _sizes(schema, list, "Items")
    if "items" in schema:
        item = _compile(schema["items"])
        found.append(lambda value: type(value) is not list or all(map(item, value)))
    return found


def _objects(schema: JSONObject) -> list[Check]:
    found: list[Check] = []
    required = _texts_of(_items(schema["required"])) if "required" in schema else ()
    least = _count(schema, "minProperties")
    if required:
        found.append(_requires(required))
    if least is not None:
        found.append(lambda value: type(value) is not dict or len(value) >= least)
    if "properties" in schema or "additionalProperties" in schema:
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            raise UnknownKeywordError
        known = {name: _compile(one) for name, one in properties.items()}
        found.append(_attributes(known, _compile(schema.get("additionalProperties", True))))
    return found


def _requires(names: tuple[str, ...]) -> Check:
    def check(value: JSON) -> bool:
        if type(value) is dict:
            for name in names:
                if name not in value:
                    return False
        return True

    return check


def _attributes(known: Mapping[str, Check], other: Check) -> Check:
    get = known.get

    def check(value: JSON) -> bool:
        if type(value) is dict:
            for name, one in value.items():
                if not get(name, other)(one):
                    return False
        return True

    return check


def _any(schema: JSONObject) -> list[Check]:
    if "anyOf" not in schema:
        return []
    checks = tuple(map(_compile, _items(schema["anyOf"])))
    if not checks:
        raise UnknownKeywordError
    return [lambda value: any(check(value) for check in checks)]


def _items(value: JSON) -> list[JSON]:
    if isinstance(value, list):
        return value
    raise UnknownKeywordError


def _texts_of(values: list[JSON]) -> tuple[str, ...]:
    found = tuple(value for value in values if isinstance(value, str))
    if len(set(found)) != len(values):
        raise UnknownKeywordError
    return found
