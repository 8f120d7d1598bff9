"""What is wrong with a policy: an attribute by JSON pointer (RFC 6901), what was expected there, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import ConflictError, LedgerError, SchemaMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 3  # faults that a message names; the others stand in its context
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `other` is the id of the policy that stands in the way, where it is one."""

    pointer: str
    expected: str
    found: str
    other: str | None = None

    def text(self) -> str:
        """Return the fault in one line."""
        return f"{self.pointer or 'the policy'}: expected {self.expected}, found {self.found}"

    def facts(self) -> dict[str, object]:
        """Return what programs get."""
        facts: dict[str, object] = {"pointer": self.pointer, "expected": self.expected, "found": self.found}
        return facts if self.other is None else {**facts, "id": self.other}


@dataclass(frozen=True, slots=True)
class Faulty:
    """A policy with its faults. `place`: its number among those handed in, from 1."""

    kind: str
    id: str
    faults: tuple[Fault, ...]
    place: int | None = None

    def facts(self) -> dict[str, object]:
        """Return what programs get."""
        place = {} if self.place is None else {"place": self.place}
        return {**place, "kind": self.kind, "id": self.id, "faults": [fault.facts() for fault in self.faults]}


def fault_error(found: Sequence[Faulty]) -> LedgerError:
    """Return the error that names every fault: a conflict when policies stand in the way and nothing else is wrong."""
    faults = [(one, fault) for one in found for fault in one.faults]
    named = [f"{one.kind} {one.id}: {fault.text()}" if len(found) > 1 else fault.text() for one, fault in faults[:NAMED]]
    more = len(faults) - len(named)
    message = "; ".join(named) + (f"; and {more} more" if more else "")
    if faults and all(fault.other is not None for _, fault in faults):
        return ConflictError(message, other=faults[0][1].other, policies=[one.facts() for one in found])
    kinds = sorted({one.kind for one in found})
    advice = f"`ledger-cli explain {kinds[0]}` says what the network wants of it." if len(kinds) == 1 else None
    return SchemaMismatchError(message, advice=advice, policies=[one.facts() for one in found])
