"""Rollback: how it is found, what it stops, how it ends."""

from __future__ import annotations

import pytest

from ledger.core.root import LogKey
from ledger.core.trust import (
    AlarmKind,
    BadSource,
    Behind,
    Current,
    Fetch,
    NeedRoot,
    Pending,
    Rollback,
    SplitView,
    Taken,
    Way,
    newest_line,
)
from tests.property.trust.simulator import (
    Master,
    Node,
    clock_key,
    log_key,
    sign_note,
)
from tests.unit.core.trust.scenes import joined, kinds


@pytest.fixture
def master() -> Master:
    return Master.create().add("a", "b", "c")


# Rollback.


def test_smaller_tree_after_a_larger_one_is_a_rollback(master: Master) -> None:
    node = joined(master)
    late = sign_note(master.tree, 3, ("L1",), {"C1": 101})
    verdict = node.hear(master, note=late)
    assert isinstance(verdict, Rollback)
    assert verdict.alarm.subject == clock_key("C1")
    assert verdict.alarm.evidence.notes == (master.left, late)
    assert node.state.stopped


def test_larger_tree_before_a_smaller_one_is_a_rollback_too(master: Master) -> None:
    node = joined(master)
    master.add("d")
    assert isinstance(node.hear(master, note=sign_note(master.tree, 5, ("L1",), {"C1": 99})), Rollback)
    assert node.tree.size == 4
    assert len(node.state.pending) == 1


def test_rollback_is_found_between_notes_that_were_not_followed(master: Master) -> None:
    node = joined(master)
    master.add("d", "e")
    master.serves = False
    node.hear(master, note=sign_note(master.tree, 6, ("L1",), {"C1": 200}))
    assert isinstance(node.hear(master, note=sign_note(master.tree, 5, ("L1",), {"C1": 201})), Rollback)


def test_each_clock_key_is_compared_with_itself_only() -> None:
    master = Master.create(clock_keys=(clock_key("C1"), clock_key("C2"))).add("a")
    node = joined(master)
    assert node.hear(master, note=sign_note(master.tree, 1, ("L1",), {"C2": 500})) == Behind(1)
    assert newest_line(node.state, node.tree.last.root) == 500


def test_rollback_at_a_size_reached_with_another_root_raises_both_alarms(master: Master) -> None:
    node = joined(master)
    fork = master.fork(2).add("x")
    fork.sign(150)
    assert isinstance(node.hear(fork), SplitView)
    assert {alarm.kind for alarm in node.state.alarms} == {AlarmKind.ROLLBACK, AlarmKind.SPLIT_VIEW}


def test_rollback_by_a_key_that_a_fetched_root_lists_is_found_when_the_note_is_taken(master: Master) -> None:
    node = joined(master)
    master.add("d").change_root(log_keys=(LogKey(log_key("L2"), None),))
    master.log_keys = ("L2",)
    raw = sign_note(master.tree, 6, ("L2",), {"C1": 99})
    assert isinstance(node.hear(master, note=raw), Rollback)
    assert kinds(node) == [NeedRoot, Fetch, Rollback]
    assert node.tree.size == 4


def rolled_back(master: Master) -> Node:
    node = joined(master)
    assert isinstance(node.hear(master, note=sign_note(master.tree, 3, ("L1",), {"C1": 150})), Rollback)
    kinds(node)
    return node


def test_stopped_node_compares_and_renews_but_takes_no_entries(master: Master) -> None:
    node = rolled_back(master)
    assert node.hear(master, note=master.sign(160)) == Current(renewed=True)
    master.add("d").sign(200)
    assert node.hear(master) == Pending(5)
    assert kinds(node) == [Current, NeedRoot, Pending]
    assert node.tree.size == 4
    assert node.state.pending == (master.left,)


def test_rollback_ends_by_a_root_that_lists_the_clock_key_no_more(master: Master) -> None:
    node = rolled_back(master)
    master.change_root(stale_after=9).sign(200)
    assert node.hear(master) == Pending(5)
    master.change_root(clock_keys=(clock_key("C2"),))
    master.clock = "C2"
    master.sign(210)
    assert node.hear(master, now=999) == Taken(6)
    assert not node.state.stopped
    (ended,) = node.state.ended
    assert (ended.way, ended.by, ended.at) == (Way.ROOT, "root 3", 999)
    assert [clock.vkey for clock in node.state.clocks] == [clock_key("C2")]


def test_rollback_does_not_end_by_a_root_that_the_log_lacks(master: Master) -> None:
    node = rolled_back(master)
    secret = master.fork(4).change_root(clock_keys=(clock_key("C2"),)).tree.entries[-1]
    master.add("d")
    master.tree.root_entries.append(secret)
    master.sign(200)
    assert isinstance(node.hear(master), BadSource)
    assert node.state.stopped
    assert node.tree.size == 4


def test_rollback_does_not_end_when_a_later_root_in_the_entries_lists_the_key_again(master: Master) -> None:
    node = rolled_back(master)
    listed = master.tree.last.root.clock_keys
    master.change_root(clock_keys=(clock_key("C2"),)).change_root(clock_keys=listed)
    master.sign(200)
    assert node.hear(master) == Pending(6)
    assert kinds(node) == [NeedRoot, Fetch, Pending]
    assert node.tree.size == 4


def test_lines_kept_before_any_root_was_known_are_compared_when_one_is(master: Master) -> None:
    for size, time in ((2, 101), (4, 99)):
        node = Node(master.network)
        master.serves = False
        node.hear(master, note=sign_note(master.tree, size, ("L1",), {"C1": time}))
        assert node.state.clocks == ()
        master.serves = True
        verdict = node.hear(master, note=sign_note(master.tree, 3, ("L1",), {"C1": 100}))
        assert isinstance(verdict, Rollback)
        assert node.tree.size == 0
        assert len(verdict.alarm.evidence.notes) == 2
