"""The lines of one clock key: rollbacks in any order, and what is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.trust.clocks import KEPT, ClockHistory, Span, Stamp


def history(*lines: tuple[int, int]) -> ClockHistory:
    found = ClockHistory("key")
    for size, time in lines:
        found = found.record(size, Stamp(time, f"{size} {time}".encode()))
    return found


def test_a_size_keeps_its_earliest_and_latest_line() -> None:
    found = history((5, 20), (5, 10), (5, 30), (5, 15))
    assert found.spans == (Span(5, 5, Stamp(10, b"5 10"), Stamp(30, b"5 30")),)


def test_lines_of_one_size_never_contradict() -> None:
    assert history((5, 20)).contradiction(5, 0) is None
    assert history((5, 20)).contradiction(5, 99) is None


def test_the_same_time_at_two_sizes_is_no_rollback() -> None:
    assert history((5, 20)).contradiction(4, 20) is None
    assert history((5, 20)).contradiction(6, 20) is None


def test_larger_size_is_compared_with_its_earliest_line_and_smaller_with_its_latest() -> None:
    found = history((5, 10), (5, 30))
    assert found.contradiction(4, 10) is None
    assert found.contradiction(4, 11) == Stamp(10, b"5 10")
    assert found.contradiction(6, 30) is None
    assert found.contradiction(6, 29) == Stamp(30, b"5 30")


lines = st.tuples(st.integers(1, 9), st.integers(0, 9))


@given(st.lists(lines, max_size=12), lines)
def test_contradiction_is_found_against_every_line(seen: list[tuple[int, int]], new: tuple[int, int]) -> None:
    size, time = new
    expected = any((at < size and then > time) or (at > size and then < time) for at, then in seen)
    assert (history(*seen).contradiction(size, time) is not None) == expected


@given(st.permutations(range(1, KEPT + 8)))
def test_old_sizes_are_joined_without_false_alarms(sizes: list[int]) -> None:
    found = history(*((size, 10 * size) for size in sizes))
    assert len(found.spans) == KEPT
    assert [span.low for span in found.spans] == sorted(span.low for span in found.spans)
    for size in range(1, KEPT + 8):
        assert found.contradiction(size, 10 * size) is None
    assert found.contradiction(1, 10_000) is not None
    assert found.contradiction(10_000, 1) is not None


def test_joined_span_is_left_alone_by_lines_inside_it() -> None:
    found = history(*((size, 10 * size) for size in range(2, 2 * KEPT, 2)), *((size, 10 * size) for size in range(2 * KEPT, 2 * KEPT + 20)))
    first = found.spans[0]
    assert first.low < first.high
    assert found.record(first.low + 1, Stamp(first.earliest.time + 1, b"new")) == found


def test_cut_drops_lines_above_a_size() -> None:
    found = history((2, 10), (4, 20), (6, 30)).hold(30)
    assert [span.high for span in found.cut(4).spans] == [2, 4]
    assert found.cut(4).held == 20
    assert found.cut(1) == ClockHistory("key")


def test_held_time_never_goes_back() -> None:
    assert history().hold(5).hold(3).held == 5


def test_without_drops_the_sizes_at_which_only_that_note_was_seen() -> None:
    found = history((2, 10), (4, 20), (4, 25))
    assert [span.low for span in found.without(b"2 10").spans] == [4]
    assert found.without(b"4 20") == found
