"""A schema held against live policies that are older than it: which of them it would refuse today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.canonical import is_id, is_id_set
from ledger.core.state import lookup_unique, texts_of
from ledger.kinds.faults import NAMED, Fault
from ledger.kinds.schema import KindSchema
from ledger.kinds.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.state import Record, StateView


@dataclass(frozen=True, slots=True)
class Breach:
    """A live policy that a schema would refuse."""

    kind: str
    id: str
    faults: tuple[Fault, ...]

    def text(self) -> str:
        """Return it in one line."""
        named = [fault.text() for fault in self.faults[:NAMED]]
        more = [f"and {len(self.faults) - NAMED} more"] if len(self.faults) > NAMED else []
        return f"{self.kind} {self.id}: " + "; ".join([*named, *more])

    def facts(self) -> dict[str, object]:
        """Return what programs get."""
        return {"kind": self.kind, "id": self.id, "faults": [fault.facts() for fault in self.faults]}


def breaches(body: JSONObject, view: StateView, records: Iterable[Record]) -> Iterator[Breach | None]:
    """Yield for each live policy of the kind what a schema of this body has against it: its JSON Schema, uniqueness, references."""
    schema = KindSchema(body)
    unique = [names for names in _list(body.get("unique")) if isinstance(names, list)]
    refs = [ref for ref in _list(body.get("refs")) if isinstance(ref, dict)]
    seen: dict[str, str] = {}
    for record in records:
        content = record.content
        faults = [*schema.faults(content), *_doubles(record, unique, seen)]
        for ref in refs:
            attr, kind = str(ref.get("attr")), str(ref.get("kind"))
            if attr in content:
                faults += _strays(view, record, (attr, kind), content[attr])
        yield Breach(record.kind, record.id, tuple(faults)) if faults else None


def _doubles(record: Record, unique: list[list[JSON]], seen: dict[str, str]) -> Iterator[Fault]:
    for names in unique:
        lookup = lookup_unique(record.kind, names, record.content)
        other = record.id if lookup is None else seen.setdefault(lookup, record.id)
        if other != record.id:
            what = ", ".join(map(str, names))
            yield Fault(f"/{names[0]}", f"{what} of its own", f"the same as {record.kind} {other}", other)


def _strays(view: StateView, record: Record, ref: tuple[str, str], value: JSON) -> Iterator[Fault]:
    attr, kind = ref
    if not is_id(value) and not is_id_set(value):
        yield Fault(f"/{attr}", f"the id of a live {kind}, or a set of such", shown(value))
        return
    for policy_id in texts_of(value):
        target = view.record(policy_id)
        if policy_id != record.id and (target is None or not target.live or target.kind != kind):
            yield Fault(f"/{attr}", f"the id of a live {kind}", shown(policy_id))


def _list(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
