"""Marks whose state root is not the state's (FORMATS 8): what a node found, as its store keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.engine.snapshot import Snapshot

AUDIT = "audit"
STATE_ROOT = "state-root"


@dataclass(frozen=True, slots=True)
class WrongMark:
    """The mark at `index` claims `claimed` as the root of the state of `size`; this replica's is `computed`."""

    index: int
    size: int
    claimed: str
    computed: str

    @property
    def name(self) -> str:
        """Return the short name by which an operator speaks of this alarm."""
        return sha256(f"{STATE_ROOT} {self.index} {self.claimed}".encode()).hexdigest()[:16]

    @property
    def reason(self) -> str:
        """Say what is wrong."""
        return f"the mark at {self.index} has a state root for size {self.size} that is not the state's"


def write_audit(size: int, marks: Sequence[WrongMark]) -> str:
    """Return how far a log was audited and the wrong marks found, as text to store under `AUDIT`."""
    return json.dumps({"size": size, "marks": [asdict(one) for one in marks]})


def read_audit(snapshot: Snapshot) -> tuple[int, tuple[WrongMark, ...]]:
    """Return what `write_audit` stored; nothing where no node audits."""
    text = snapshot.meta(AUDIT)
    if text is None:
        return 0, ()
    stored = json.loads(str(text))
    return stored["size"], tuple(WrongMark(**one) for one in stored["marks"])
