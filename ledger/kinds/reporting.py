"""Every fault of a value by draft 2020-12, from the `jsonschema` library.

Some keywords are ours: those on attributes name the attribute itself, not the object around it; patterns go through RE2;
`uniqueItems` is linear. Nothing is ever fetched: the registry of references is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from ledger.core.canonical import JSON, encode
from ledger.core.difference import pointer
from ledger.core.errors import FormatError
from ledger.kinds.faults import NOTHING, Fault
from ledger.kinds.patterns import compile_pattern
from ledger.kinds.words import expected, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]  # it has no types

MOST_FAULTS = 50
ATTRIBUTES = ("properties", "additionalProperties", "patternProperties")
Errors: TypeAlias = "Iterator[ValidationError]"


class Reporter:
    """Checks values against one schema and says all that is wrong. Making one takes milliseconds."""

    def __init__(self, schema: JSON) -> None:
        """Take a schema that `profile` takes."""
        from jsonschema import Draft202012Validator, validators  # type: ignore[import-untyped]  # noqa: PLC0415 - 70 ms that a good policy does not cost
        from referencing import Registry  # noqa: PLC0415 - as above

        checks = {
            "required": _required,
            "dependentRequired": _dependent_required,
            "properties": _properties,
            "additionalProperties": _additional,
            "patternProperties": _patterned,
            "pattern": _pattern,
            "uniqueItems": _unique,
        }
        made: Callable[..., Any] = validators.extend(Draft202012Validator, checks)
        self._validator = made(schema, registry=Registry())

    def faults(self, value: JSON) -> list[Fault]:
        """Return what is wrong, each once, at most `MOST_FAULTS`."""
        found: dict[Fault, None] = {}
        for error in self._validator.iter_errors(value):
            found[_fault(error)] = None
            if len(found) >= MOST_FAULTS:
                break
        return sorted(found, key=lambda fault: fault.pointer)


def require_schema(schema: JSON) -> None:
    """Raise FormatError unless this is a schema of draft 2020-12."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - as above
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - as above

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise FormatError(f"no JSON Schema: at {pointer(error.absolute_path) or 'its top'}: {error.message[:200]}") from error


def _fault(error: ValidationError) -> Fault:
    where = pointer(error.absolute_path)
    if error.validator in ("required", "dependentRequired"):
        return Fault(where, f"{error.message} (it is required)", NOTHING)
    if error.validator in ATTRIBUTES:
        return Fault(where, "no attribute of that name", shown(error.instance))
    if error.validator in ("anyOf", "oneOf"):
        return Fault(where, " or ".join(map(expected, error.validator_value)), shown(error.instance))
    if error.validator == "not":
        return Fault(where, f"anything but {expected(error.validator_value)}", shown(error.instance))
    if error.validator in ("contains", "minContains", "maxContains", "propertyNames"):
        return Fault(where, error.message[:200], shown(error.instance))
    return Fault(where, expected(error.schema), shown(error.instance))


def _missing(name: str, schema: dict[str, Any]) -> ValidationError:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    return ValidationError(expected(schema.get("properties", {}).get(name, True)), path=(name,), instance=None)


def _required(_validator: object, names: list[str], value: object, schema: dict[str, Any]) -> Errors:
    if isinstance(value, dict):
        yield from (_missing(name, schema) for name in names if name not in value)


def _dependent_required(_validator: object, names: dict[str, list[str]], value: object, schema: dict[str, Any]) -> Errors:
    if isinstance(value, dict):
        for given, wanted in names.items():
            yield from _required(None, wanted if given in value else [], value, schema)


def _properties(validator: Any, properties: dict[str, Any], value: object, _schema: object) -> Errors:
    if isinstance(value, dict):
        for name, schema in properties.items():
            if name in value:
                yield from _attribute(validator, name, value[name], schema)


def _additional(validator: Any, allowed: Any, value: object, schema: dict[str, Any]) -> Errors:
    if not isinstance(value, dict):
        return
    matching = [compile_pattern(pattern) for pattern in schema.get("patternProperties", {})]
    for name, one in value.items():
        if name not in schema.get("properties", {}) and not any(matches(name) for matches in matching):
            yield from _attribute(validator, name, one, allowed)


def _patterned(validator: Any, patterns: dict[str, Any], value: object, _schema: object) -> Errors:
    if isinstance(value, dict):
        for pattern, schema in patterns.items():
            matches = compile_pattern(pattern)
            for name, one in value.items():
                if matches(name):
                    yield from _attribute(validator, name, one, schema)


def _attribute(validator: Any, name: str, value: object, schema: Any) -> Errors:
    """Check one attribute. The library does not say which one it is that a schema of `false` forbids."""
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    if schema is False:
        yield ValidationError("forbidden", path=(name,), instance=value)
    else:
        yield from validator.descend(value, schema, path=name)


def _pattern(_validator: object, pattern: str, value: object, _schema: object) -> Errors:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    if isinstance(value, str) and not compile_pattern(pattern)(value):
        yield ValidationError("does not match")


def _unique(_validator: object, wanted: object, value: object, _schema: object) -> Errors:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    if wanted is True and isinstance(value, list) and len({encode(one) for one in value}) != len(value):
        yield ValidationError("an item twice")
