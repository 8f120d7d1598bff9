"""Fresh, stale or unknown: sentence by sentence of FORMATS 9."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.trust import Level, TrustState, judge_freshness, newest_line
from ledger.core.trust.clocks import ClockHistory
from tests.property.trust.simulator import clock_key, first_root

if TYPE_CHECKING:
    from ledger.core.root import Root

ROOT = first_root(stale_after=300)


@pytest.mark.parametrize(
    ("time", "root", "now", "level", "age"),
    [
        (1000, ROOT, 1000, Level.FRESH, 0),
        (1000, ROOT, 1300, Level.FRESH, 300),
        (1000, ROOT, 1301, Level.STALE, 301),
        (1300, ROOT, 1000, Level.FRESH, 0),
        (1301, ROOT, 1000, Level.UNKNOWN, None),
        (None, ROOT, 1000, Level.UNKNOWN, None),
        (1000, None, 1000, Level.UNKNOWN, None),
        (None, first_root(stale_after=0), 9999, Level.FRESH, None),
        (1000, first_root(stale_after=0), 9999, Level.FRESH, 8999),
        (1301, first_root(stale_after=0), 1000, Level.UNKNOWN, None),
        (10, first_root(expires="1970-01-01T00:00:10Z"), 10, Level.FRESH, 0),
        (10, first_root(expires="1970-01-01T00:00:10Z"), 11, Level.STALE, 1),
        (10, first_root(expires="1970-01-01T00:00:10Z", stale_after=0), 11, Level.STALE, 1),
    ],
)
def test_level_and_age(time: int | None, root: Root | None, now: int, level: Level, age: int | None) -> None:
    found = judge_freshness(time, root, now)
    assert (found.level, found.age) == (level, age)
    assert found.stale == (level is not Level.FRESH)
    assert bool(found.reason) == (level is not Level.FRESH or (root is not None and root.stale_after == 0))


def test_line_ahead_shows_both_times() -> None:
    found = judge_freshness(1301, ROOT, 1000)
    assert (found.time, found.now, found.reason) == (1301, 1000, "the newest line is 301 s ahead of this node")


def test_newest_line_is_of_a_listed_key_and_a_tree_that_was_held() -> None:
    state = TrustState("ab" * 32)
    assert newest_line(state, ROOT) is None
    state = state.with_clock(ClockHistory("stranger").hold(99)).with_clock(ClockHistory(clock_key("C1")))
    assert newest_line(state, ROOT) is None
    assert newest_line(state.with_clock(ClockHistory(clock_key("C1")).hold(7)), ROOT) == 7
