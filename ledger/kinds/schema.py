"""A `schema` policy at work: the faults it finds in a body, the defaults it fills in."""

from __future__ import annotations

from functools import cached_property

from ledger.core.canonical import JSON, JSONObject, encode
from ledger.core.errors import FormatError
from ledger.kinds.faults import Fault
from ledger.kinds.profile import require_bounded
from ledger.kinds.quick import Check, compile_quick
from ledger.kinds.reporting import Reporter, require_schema

FEW_SUBSCHEMAS = 64  # with no more the quick check of the largest body takes a tenth of a second
MOST_WORK = 500_000  # subschemas times values of a body: some seconds of the library at the worst
LEAST_VALUE = 2  # bytes that a value of a body takes at least, with what separates it from the next


class KindSchema:
    """What one schema says about bodies of its kind, beyond what the fold enforces.

    `unusable` says why its JSON Schema cannot be checked, None when it can: the log may hold any (FORMATS 7).
    """

    def __init__(self, body: JSONObject) -> None:
        self.body = body
        self.kind = str(body["kind"])
        self.json_schema: JSON = body.get("json_schema", True)
        self._subschemas = 1
        self.unusable: str | None = None
        self._quick: Check | None = None
        try:
            self._subschemas = require_bounded(self.json_schema)
            self._quick = compile_quick(self.json_schema)
        except FormatError as error:
            self.unusable = error.message

    @cached_property
    def _reporter(self) -> Reporter:
        if self._quick is None:
            require_schema(self.json_schema)
        return Reporter(self.json_schema)

    @property
    def is_quick(self) -> bool:
        """Tell whether a good policy passes without the library."""
        return self._quick is not None

    def require_usable(self) -> None:
        """Raise FormatError when its JSON Schema is none that can be checked."""
        if self.unusable is not None:
            raise FormatError(self.unusable)
        if self._quick is None:
            require_schema(self.json_schema)

    def faults(self, body: JSONObject) -> list[Fault]:
        """Return everything in `body` that breaks the JSON Schema. None when that cannot be checked."""
        if self.unusable is not None:
            return []
        if self._subschemas > FEW_SUBSCHEMAS and (fault := self._too_large(body)) is not None:
            return [fault]
        if self._quick is not None and self._quick(body):
            return []
        fault = self._too_large(body)
        if fault is not None:
            return [fault]
        try:
            return self._reporter.faults(body)
        except FormatError as error:  # it is none of draft 2020-12: a log may hold that
            self.unusable = error.message
            return []

    def _too_large(self, body: JSONObject) -> Fault | None:
        if self._subschemas * len(encode(body)) <= MOST_WORK * LEAST_VALUE:
            return None
        return Fault("", "a policy that is small enough to be checked against so large a schema", "a larger one")

    def filled(self, body: JSONObject) -> JSONObject:
        """Return `body` with the defaults of attributes that it leaves out; the same object when there are none."""
        filled = _filled(self.json_schema, body) if self.unusable is None else body
        return filled if isinstance(filled, dict) else body


def _filled(schema: JSON, value: JSON) -> JSON:
    """Return a value with defaults filled in, along `properties` and `items`: what the other keywords mean is no default."""
    if not isinstance(schema, dict):
        return value
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        items = [_filled(schema["items"], one) for one in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    properties = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    found: JSONObject = {}
    for name, one in properties.items():
        if name in value:
            inner = _filled(one, value[name])
            if inner is not value[name]:
                found[name] = inner
        elif isinstance(one, dict) and "default" in one:
            found[name] = one["default"]
    return {**value, **found} if found else value
