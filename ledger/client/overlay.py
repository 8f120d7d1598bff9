"""A state on top of another one, for a dry run: what would be so if these statements were accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ledger.core.state import lookups, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ledger.core.state import Accepted, KeyRecord, Record, StateView

T = TypeVar("T")


class OverlayState:
    """A StateView: `base`, and above it what `apply` was given. `base` never changes."""

    def __init__(self, base: StateView) -> None:
        self._base = base
        self._network = base.network
        self._records: dict[str, Record] = {}
        self._keys: dict[str, KeyRecord] = {}
        self._filed: dict[str, set[str]] = {}

    @property
    def network(self) -> str | None:
        """See StateView."""
        return self._network

    def record(self, policy_id: str) -> Record | None:
        """See StateView."""
        return self._records.get(policy_id) or self._base.record(policy_id)

    def key(self, keyid: str) -> KeyRecord | None:
        """See StateView."""
        return self._keys.get(keyid) or self._base.key(keyid)

    def filed(self, lookup: str) -> Iterable[str]:
        """See StateView: look-ups may find too much, so those that a newer version left may stay."""
        return {*self._base.filed(lookup), *self._filed.get(lookup, ())}

    def of_kind(self, kind: str) -> Iterable[Record]:
        """See StateView."""
        below = [record for record in self._base.of_kind(kind) if record.id not in self._records]
        return [*below, *(record for record in self._records.values() if record.kind == kind and record.live)]

    def remember(self, name: str, make: Callable[[], T]) -> T:  # noqa: ARG002 - a dry run is short: nothing is worth remembering
        """See StateView."""
        return make()

    def apply(self, accepted: Accepted) -> None:
        """Take what an accepted entry changes."""
        self._network = accepted.network or self._network
        self._keys.update((key.keyid, key) for key in accepted.keys)
        for record in accepted.records:
            self._records[record.id] = record
            self._file(record)
        for kind in accepted.reindex:
            for record in self.of_kind(kind):
                self._file(record)

    def _file(self, record: Record) -> None:
        schema = schema_of(self, record.kind)
        for lookup in lookups(record, None if schema is None else schema.content):
            self._filed.setdefault(lookup, set()).add(record.id)
