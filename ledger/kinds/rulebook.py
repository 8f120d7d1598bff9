"""All the rules that bind authors and admission, over one state and what a batch adds to it."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Protocol

from ledger.core.canonical import AUTHORITY_KINDS
from ledger.core.errors import FormatError
from ledger.core.state import Record, StateView, schema_of
from ledger.kinds.faults import Fault
from ledger.kinds.relations import CLUSTER, RELATED_KINDS, relation_faults
from ledger.kinds.schema import KindSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.core.canonical import JSON, JSONObject

SCHEMA = "schema"


class KindView(StateView, Protocol):
    """A state that also finds clusters by their name."""

    def clusters_named(self, name: str) -> Iterable[Record]:
        """Return the live clusters of that name."""
        ...


class Rulebook:
    """Judges bodies over one state. `take` lays a body over it, as if it were in force for those that follow."""

    def __init__(self, view: KindView) -> None:
        self._view = view
        self._schemas: dict[str, KindSchema | None] = {}
        self._taken: dict[str, Record] = {}
        self._named: dict[JSON, dict[str, None]] = {}  # ids of taken clusters by a name that they had

    def schema(self, kind: str) -> KindSchema | None:
        """Return the schema of a kind, None where it has none."""
        if kind in AUTHORITY_KINDS:
            return None
        if kind not in self._schemas:
            self._schemas[kind] = self._view.remember(f"kind {kind}", lambda: _Found(self._view, kind)).schema
        return self._schemas[kind]

    def faults(self, kind: str, policy_id: str, body: JSONObject) -> list[Fault]:
        """Return what is wrong with a body that a put or patch would make."""
        if kind == SCHEMA:
            return _schema_faults(body)
        schema = self.schema(kind)
        if schema is None:
            return []
        faults = schema.faults(body)
        return faults + relation_faults(self, kind, policy_id, body) if kind in RELATED_KINDS else faults

    def take(self, kind: str, policy_id: str, body: JSONObject) -> None:
        """Take a body as in force from now on."""
        if kind == SCHEMA and isinstance(body.get("kind"), str):
            self._schemas[str(body["kind"])] = KindSchema(body)
        self._taken[policy_id] = Record(kind, policy_id, True, "", 0, 0, "", "", "", body)
        if kind == CLUSTER and isinstance(body.get("name"), str):
            self._named.setdefault(body["name"], {})[policy_id] = None

    def drop(self, policy_id: str) -> None:
        """Take a policy as dropped from now on."""
        self._taken[policy_id] = Record("", policy_id, False, "", 0, 0, "", "", "", None)

    # -- Neighbours ----------------------------------------------------------------------------------------------

    def live(self, policy_id: str) -> Record | None:
        """See Neighbours."""
        record = self._taken.get(policy_id) or self._view.record(policy_id)
        return record if record is not None and record.live else None

    def clusters_named(self, name: str) -> Iterator[Record]:
        """See Neighbours."""
        stored = (record for record in self._view.clusters_named(name) if record.id not in self._taken)
        taken = (self._taken[policy_id] for policy_id in self._named.get(name, ()))
        for record in chain(stored, taken):
            if record.kind == CLUSTER and record.content.get("name") == name:
                yield record


class _Found:
    """The schema of a kind, or that there is none: a thing to remember either way."""

    def __init__(self, view: StateView, kind: str) -> None:
        record = schema_of(view, kind)
        self.schema = None if record is None else KindSchema(record.content)


def _schema_faults(body: JSONObject) -> list[Fault]:
    if not isinstance(body.get("kind"), str):
        return []  # the fold says what a schema is
    try:
        KindSchema(body).require_usable()
    except FormatError as error:
        return [Fault("/json_schema", "a JSON Schema that can be checked (docs/kinds.md)", error.message)]
    return []
