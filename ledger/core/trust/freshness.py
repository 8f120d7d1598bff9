"""How old the newest good clock line is, and what that says about answers (FORMATS 9). It never decides whether an entry is taken."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ledger.core.canonical import parse_time
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from ledger.core.root import Root
    from ledger.core.trust.state import TrustState


class Level(StrEnum):
    """What answers are marked as; UNKNOWN counts as stale."""

    FRESH = "fresh"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Freshness:
    """`time` of the newest line about a tree held (None: there is none), the node's `now`, and why. `frozen`: the line moves no more."""

    level: Level
    time: int | None
    now: int
    reason: str
    frozen: bool = False

    @property
    def stale(self) -> bool:
        """Tell whether answers are marked stale."""
        return self.level is not Level.FRESH

    @property
    def age(self) -> int | None:
        """Return the age in seconds, 0 for a line slightly ahead; None if it cannot be told."""
        if self.time is None or self.level is Level.UNKNOWN:
            return None
        return max(0, self.now - self.time)


def newest_line(state: TrustState, root: Root) -> int | None:
    """Return the time of the newest good line, by a clock key that `root` lists, about a tree that the replica held."""
    held = [one.held for one in state.clocks if one.vkey in root.clock_keys and one.held >= 0]
    return max(held, default=None)


def judge_freshness(time: int | None, root: Root | None, now: int) -> Freshness:
    """Return how fresh a replica is whose newest line (or agreed final block) is of `time`, under its newest root."""
    if root is None:
        return Freshness(Level.UNKNOWN, time, now, "no root is known yet")
    if time is not None and time > now + LIMITS.skew_seconds:
        return Freshness(Level.UNKNOWN, time, now, f"the newest line is {time - now} s ahead of this node")
    if root.expires is not None and now > parse_time(root.expires):
        return Freshness(Level.STALE, time, now, f"root {root.version} expired at {root.expires}")
    if root.stale_after == 0:
        return Freshness(Level.FRESH, time, now, "this network sets no age at which answers are stale")
    if time is None:
        return Freshness(Level.UNKNOWN, None, now, "no clock line was seen")
    if now - time > root.stale_after:
        return Freshness(Level.STALE, time, now, f"the newest line is older than {root.stale_after} s", frozen=True)
    return Freshness(Level.FRESH, time, now, "")
