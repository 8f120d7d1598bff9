"""What the trust rules answer: do this next, or this is what the note was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.core.trust.evidence import Alarm, Evidence
    from ledger.core.trust.findings import Finding
    from ledger.core.trust.roots import FetchedRoot
    from ledger.core.trust.state import TrustState


@dataclass(frozen=True, slots=True)
class Ticket:
    """A note in the middle of its judgement. Made by this package only; hand it back unchanged.

    `known` roots of the replica stand below the `fetched` ones. `size` and `base` are the replica's when the note came.
    """

    note: bytes
    source: str
    size: int
    base: bytes
    known: int
    fetched: tuple[FetchedRoot, ...] = ()


@dataclass(frozen=True, slots=True)
class NeedRoot:
    """Get `/v1/roots/<version>` from the same source, then call `judge_root`."""

    ticket: Ticket
    version: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Get entries `start … end-1` from the same source, apply them in an open transaction, then call `judge_entries`.

    When `start` is below the replica's size, go back to `start` first, in that transaction.
    """

    ticket: Ticket
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class FetchAll:
    """Get entries `0 … end-1` from the same source, feed them to `TreeCheck`, then call `judge_tree`. Commit none.

    `at` is the size at which the two trees must agree.
    """

    ticket: Ticket
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Commit the entries and the state together."""

    size: int
    went_back_from: int | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The tree that the replica holds. `renewed`: the note has the later clock line and is served from now on."""

    renewed: bool


@dataclass(frozen=True, slots=True)
class Behind:
    """A smaller tree of the same log. Ignored. `compared` is False when the replica cannot know its root at that size."""

    size: int
    compared: bool = True


@dataclass(frozen=True, slots=True)
class Pending:
    """A good note that may not be followed while the sync is stopped; kept, and compared when the replica gets there."""

    size: int


@dataclass(frozen=True, slots=True)
class BadNote:
    """Not a good note. Nothing follows from it."""

    reason: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class BadSource:
    """The source cannot make good what it showed. No alarm; use the next source."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class SplitView:
    """Two signed views of one log. The sync stops."""

    alarm: Alarm


@dataclass(frozen=True, slots=True)
class Rollback:
    """The clock key signed a smaller tree after a larger one. The sync stops."""

    alarm: Alarm


NextStep = NeedRoot | Fetch | FetchAll
Verdict = NextStep | Taken | Current | Behind | Pending | BadNote | BadSource | SplitView | Rollback


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict and the state after it. Store the state whatever the verdict; with `Taken`, in the same transaction."""

    state: TrustState
    verdict: Verdict
