"""What is kept when something is wrong: raw notes and signed roots as they came, and the hashes that differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

from ledger.core.trust.codec import LATER


class Origin(StrEnum):
    """Whose tree a hash is of."""

    REPLICA = "replica"
    SOURCE = "source"


@dataclass(frozen=True, slots=True)
class TreeHash:
    """The root hash (hex) of one tree at one size."""

    whose: Origin
    size: int
    root: str


@dataclass(frozen=True, slots=True)
class Extension:
    """A consistency proof (hashes in hex): the tree of `new` entries that a note signs has `root` (hex) at size `old`."""

    old: int
    root: str
    new: int
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Raw bytes that prove `reason` to others: notes, the roots that came with them, hashes; when (Unix seconds) and from whom.

    `receipts` show what stands at one index of the trees that the notes sign, `extensions` what they were at a smaller size.
    `finding` is a `Finding`, or the code of a void entry; empty in a state stored before there were any.
    """

    reason: str
    source: str
    at: int
    notes: tuple[bytes, ...]
    roots: tuple[bytes, ...] = ()
    hashes: tuple[TreeHash, ...] = ()
    receipts: tuple[bytes, ...] = ()
    extensions: tuple[Extension, ...] = ()
    finding: str = field(default="", metadata=LATER)


class AlarmKind(StrEnum):
    """What stops the sync."""

    SPLIT_VIEW = "split-view"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Alarm:
    """The sync is stopped. For a rollback `subject` is the vkey of the clock key, for a split view `SIZE ROOT` of the other tree."""

    kind: AlarmKind
    subject: str
    evidence: Evidence

    @property
    def name(self) -> str:
        """Return the short name by which an operator speaks of this alarm."""
        return sha256(f"{self.kind} {self.subject}".encode()).hexdigest()[:16]


class Way(StrEnum):
    """How an alarm ended."""

    ROOT = "root"
    CONTINUES = "continues"
    OPERATOR_KEPT_OWN = "operator-kept-own"
    OPERATOR_TOOK_OTHER = "operator-took-other"


@dataclass(frozen=True, slots=True)
class EndedAlarm:
    """An alarm that is over, how and when; `by` is a root version or the operator's words."""

    alarm: Alarm
    way: Way
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class WentBack:
    """The replica went back from `old_size` to `size` by root `version`. Shown until acknowledged."""

    old_size: int
    size: int
    version: int
    at: int
