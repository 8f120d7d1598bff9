"""Split view and `continues`: the ways out and the way back."""

from __future__ import annotations

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.note import Note, log_line
from ledger.core.root import LogKey
from ledger.core.trust import (
    BadNote,
    BadSource,
    Behind,
    Fetch,
    FetchAll,
    Finding,
    NeedRoot,
    SplitView,
    Taken,
    Way,
    WentBack,
    acknowledge,
    keep_own,
    newest_line,
    take_other,
)
from tests.property.trust.simulator import (
    ORIGIN,
    Cache,
    Master,
    Node,
    clock_key,
    log_key,
    sign_note,
    signer,
)
from tests.unit.core.trust.scenes import continued, finding, joined, kinds


@pytest.fixture
def master() -> Master:
    return Master.create().add("a", "b", "c")


# Split view: the ways out.


def split(master: Master) -> tuple[Node, Master]:
    node = joined(master)
    fork = master.fork(3).add("x", "y", "z")
    fork.sign(200)
    assert isinstance(node.hear(fork), SplitView)
    kinds(node)
    return node, fork


def test_split_view_ends_by_a_root_with_continues_at_every_node(master: Master) -> None:
    ours, fork = split(master)
    theirs = joined(fork)
    assert isinstance(theirs.hear(Cache("c", master.left, master)), SplitView)
    fresh = continued(master, 3, 1)
    fresh.sign(10)
    for node in (ours, theirs):
        old = node.tree.size
        assert node.hear(fresh, now=5) == Taken(5, old)
        assert node.state.went_back == (WentBack(old, 3, 2, 5),)
        assert node.state.ended[0].way is Way.CONTINUES
        assert node.tree.entries == fresh.tree.entries
        assert acknowledge(node.state).went_back == ()


def test_split_view_ends_when_the_operator_keeps_his_own(master: Master) -> None:
    node, fork = split(master)
    (alarm,) = node.state.alarms
    node.state = keep_own(node.state, alarm.name, "anna: the fork is a thief's", 55)
    assert not node.state.stopped
    (ended,) = node.state.ended
    assert (ended.alarm, ended.way, ended.by, ended.at) == (alarm, Way.OPERATOR_KEPT_OWN, "anna: the fork is a thief's", 55)
    assert finding(node.hear(fork)) == Finding.REFUSED_TREE
    fork.add("more").sign(300)
    assert finding(node.hear(fork)) == Finding.REFUSED_TREE
    assert not node.state.stopped
    master.add("d").sign(300)
    assert node.hear(master) == Taken(5)


def test_split_view_ends_when_the_operator_begins_afresh_with_the_other(master: Master) -> None:
    node, fork = split(master)
    fresh = Node(master.network)
    fresh.state = take_other(node.state, node.state.alarms[0].name, "anna", 55)
    assert fresh.state.ended[0].way is Way.OPERATOR_TOOK_OTHER
    assert finding(fresh.hear(master)) == Finding.REFUSED_TREE
    master.add("d").sign(300)
    assert finding(fresh.hear(master)) == Finding.REFUSED_TREE
    assert fresh.hear(fork) == Taken(6)


# `continues`.


def test_continues_takes_a_node_back_that_was_not_stopped(master: Master) -> None:
    node = joined(master)
    fresh = continued(master, 2)
    fresh.sign(10)
    assert node.hear(fresh) == Taken(3, 4)
    assert kinds(node) == [NeedRoot, Fetch, Taken]
    assert newest_line(node.state, node.tree.last.root) == 10


def test_continues_needs_no_going_back_below_its_size(master: Master) -> None:
    master.sign(100)
    node = Node(master.network)
    node.hear(master, note=sign_note(master.tree, 2, ("L1",), {"C1": 50}))
    fresh = continued(master, 3, 2)
    fresh.sign(10)
    assert node.hear(fresh) == Taken(6)
    assert node.state.went_back == ()


def test_continues_replaces_a_root_that_stood_in_the_lost_tail(master: Master) -> None:
    old = master.fork(3)
    master.change_root(stale_after=9).add("d")
    node = joined(master)
    fresh = continued(old, 3, 1)
    fresh.sign(10)
    assert node.hear(fresh) == Taken(5, 6)
    assert [one.root.version for one in node.tree.roots()] == [1, 2]
    kinds(node)
    master.sign(300)
    assert isinstance(node.hear(master), BadNote | BadSource)
    assert not node.state.stopped


def test_old_notes_are_no_alarm_after_continues(master: Master) -> None:
    node = joined(master)
    old = master.left
    fresh = continued(master, 3, 3)
    fresh.sign(10)
    node.hear(fresh)
    assert isinstance(node.hear(master, note=old), BadNote)
    assert node.hear(fresh, note=sign_note(master.tree, 3, ("L1",), {"C1": 90})) == Behind(3)
    assert not node.state.stopped


def test_continues_drops_clock_lines_above_its_size_and_keeps_the_rest() -> None:
    master = Master.create(clock_keys=(clock_key("C1"), clock_key("C9", f"{ORIGIN}-next")))
    master.add("a", "b").sign(100)
    node = joined(master)
    node.hear(master, note=sign_note(master.tree, 2, ("L1",), {"C1": 50}))
    keys = (clock_key("C1"), clock_key("C9", f"{ORIGIN}-next"))
    fresh = continued(master, 2, clock_keys=keys)
    fresh.sign(10)
    assert node.hear(fresh) == Taken(3, 3)
    history = node.state.clock(clock_key("C1"))
    assert [span.high for span in history.spans] == [2]
    assert history.held == 50


def test_continues_over_another_tree_is_a_split_view(master: Master) -> None:
    fork = master.fork(2).add("x", "y")
    node = joined(master)
    fresh = continued(fork, 3, 1)
    fresh.sign(10)
    assert isinstance(node.hear(fresh), SplitView)
    assert kinds(node) == [NeedRoot, FetchAll, SplitView]
    assert node.tree.size == 4


def test_continues_that_the_entries_lack_takes_nobody_back(master: Master) -> None:
    node = joined(master)
    fresh = continued(master, 2, 2)
    fresh.sign(10)
    junk = master.fork(2, "junk").add("x", "y", "z")
    origin = fresh.tree.last.root.origin
    hashed = junk.tree.root_at(5)
    assert hashed is not None
    text = Checkpoint(origin, 5, hashed).text
    signed = log_line(text, origin, signer("L9"))
    junk.tree.root_entries = fresh.tree.root_entries
    verdict = node.hear(junk, note=Note(text, (signed,)).encode())
    assert isinstance(verdict, BadSource)
    assert node.tree.size == 4
    assert not node.state.stopped


def test_continues_that_does_not_stand_at_its_size_is_a_bad_source(master: Master) -> None:
    for wrong in ({"size": 5, "root": "00" * 32}, {"size": 4, "root": "00" * 32}):
        node = joined(master)
        fork = master.fork(4)
        fork.change_root(order={"type": "log", "continues": wrong}).add("d", "e")
        fork.sign(200)
        assert finding(node.hear(fork)) == Finding.MISPLACED_ROOT
        assert node.tree.size == 4


def test_two_continuations_of_one_log_are_a_split_view(master: Master) -> None:
    """Both are roots of version 2, under keys of their own: neither is the later one."""
    node = joined(master)
    first = continued(master, 3, 1)
    origin = f"{ORIGIN}-other"
    second = continued(master, 2, 1, origin=origin, log_keys=(LogKey(log_key("L7", origin), None),), clock_keys=(clock_key("C7", origin),))
    second.log_keys, second.clock = ("L7",), "C7"
    first.sign(10)
    second.sign(10)
    assert node.hear(first) == Taken(5, 4)
    kinds(node)
    assert isinstance(node.hear(second), SplitView)
    assert kinds(node) == [NeedRoot, NeedRoot, FetchAll, SplitView]


def test_log_that_was_lost_twice_is_followed_from_the_smaller_size(master: Master) -> None:
    node = joined(master)
    first = continued(master, 2, 1)
    hashed = first.tree.root_at(4)
    assert hashed is not None
    origin = f"{ORIGIN}-third"
    first.change_root(
        origin=origin,
        order={"type": "log", "continues": {"size": 4, "root": hashed.hex()}},
        log_keys=(LogKey(log_key("L8", origin), None),),
        clock_keys=(clock_key("C8", origin),),
    )
    first.log_keys, first.clock = ("L8",), "C8"
    first.sign(20)
    assert node.hear(first) == Taken(5, 4)
    assert node.state.went_back == (WentBack(4, 2, 3, 2000),)


def test_first_root_continues_nothing() -> None:
    order: dict[str, object] = {"type": "log", "continues": {"size": 9, "root": "00" * 32}}
    node = joined(Master.create(order=order))
    assert node.tree.size == 1
