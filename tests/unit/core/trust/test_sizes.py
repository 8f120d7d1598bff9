"""What a good note means at a replica: sizes reached, sizes not reached, entries that do not make the root."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import InternalError
from ledger.core.note import Note, log_line
from ledger.core.root import LogKey
from ledger.core.trust import (
    BadNote,
    BadSource,
    Behind,
    Current,
    Fetch,
    FetchAll,
    NeedRoot,
    Origin,
    SplitView,
    Taken,
    TreeCheck,
    TreeHash,
    judge_entries,
    judge_mismatch,
    judge_note,
    judge_root,
    newest_line,
)
from tests.property.trust.simulator import (
    ORIGIN,
    Cache,
    Master,
    Node,
    Tree,
    clock_key,
    log_key,
    sign_note,
    signer,
)
from tests.unit.core.trust.scenes import joined, kinds


@pytest.fixture
def master() -> Master:
    return Master.create().add("a", "b", "c")


# The first sync: from the network id alone.


def test_new_node_follows_from_the_pinned_root(master: Master) -> None:
    master.sign(100)
    node = Node(master.network)
    assert node.hear(master) == Taken(4)
    assert kinds(node) == [NeedRoot, Fetch, Taken]
    assert node.tree.entries == master.tree.entries
    assert node.state.note == master.left
    assert node.state.pending == ()


def test_new_node_refuses_a_root_of_another_network(master: Master) -> None:
    master.sign(100)
    node = Node("ab" * 32)
    assert isinstance(node.hear(master), BadNote)
    assert kinds(node) == [NeedRoot, BadNote]


def test_new_node_refuses_a_source_without_roots(master: Master) -> None:
    master.sign(100)
    master.tree.root_entries.clear()
    assert isinstance(Node(master.network).hear(master), BadNote)


def test_bytes_that_are_no_note_are_a_bad_note(master: Master) -> None:
    assert isinstance(joined(master).hear(master, note=b"junk"), BadNote)


# Size reached already.


def test_same_size_keeps_the_note_with_the_later_clock_line(master: Master) -> None:
    node = joined(master)
    first = master.left
    assert node.hear(master) == Current(renewed=False)
    master.sign(150)
    assert node.hear(master) == Current(renewed=True)
    assert node.hear(master, note=first) == Current(renewed=False)
    assert node.state.note == master.left
    assert newest_line(node.state, node.tree.last.root) == 150


def test_same_size_replaces_a_note_that_is_not_good_any_more(master: Master) -> None:
    node = joined(master)
    node.state = replace(node.state, note=None)
    assert node.hear(master) == Current(renewed=True)


def test_smaller_size_of_the_same_log_is_behind_and_ignored(master: Master) -> None:
    node = joined(master)
    old = sign_note(master.tree, 2, ("L1",), {"C1": 50})
    assert node.hear(master, note=old) == Behind(2)
    assert node.state.note == master.left
    assert newest_line(node.state, node.tree.last.root) == 100


def test_smaller_size_below_a_snapshot_cannot_be_compared(master: Master) -> None:
    node = joined(master)
    tree = Snapshot(master.tree)
    judged = judge_note(node.state, tree, sign_note(master.tree, 2, ("L1",), {"C1": 500}), "s", 1)
    assert judged.verdict == Behind(2, compared=False)
    assert judged.state == node.state


class Snapshot(Tree):
    """Knows nothing below its size."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(tree.network)
        for entry in tree.entries:
            self.append(entry)

    def root_at(self, size: int) -> bytes | None:
        return super().root_at(size) if size == self.size else None


def test_another_root_at_a_size_reached_is_a_split_view(master: Master) -> None:
    node = joined(master)
    fork = master.fork(2).add("x", "y")
    raw = fork.sign(100)
    verdict = node.hear(fork, now=77)
    assert isinstance(verdict, SplitView)
    evidence = verdict.alarm.evidence
    assert evidence.notes == (raw, master.left)
    ours, theirs = master.tree.root_at(4), fork.tree.root_at(4)
    assert ours is not None
    assert theirs is not None
    assert evidence.hashes == (TreeHash(Origin.REPLICA, 4, ours.hex()), TreeHash(Origin.SOURCE, 4, theirs.hex()))
    assert (evidence.source, evidence.at) == ("fork", 77)
    assert node.state.alarms == (verdict.alarm,)


def test_split_view_of_a_node_without_a_note_keeps_the_one_there_is(master: Master) -> None:
    node = joined(master)
    node.state = replace(node.state, note=None)
    fork = master.fork(2).add("x", "y")
    verdict = node.hear(replace(fork, left=fork.sign(100)))
    assert isinstance(verdict, SplitView)
    assert verdict.alarm.evidence.notes == (fork.left,)


# Size not reached.


def test_larger_size_is_fetched_from_own_size_on(master: Master) -> None:
    node = joined(master)
    master.add("d", "e").sign(200)
    assert node.hear(master) == Taken(6)
    step = node.verdicts[0]
    assert isinstance(step, Fetch)
    assert (step.start, step.end) == (4, 6)


def test_note_whose_entries_do_not_come_is_kept_and_compared_later(master: Master) -> None:
    node = joined(master)
    fork = master.fork(4).add("x", "y")
    fork.serves = False
    fork.sign(200)
    assert isinstance(node.hear(fork), Fetch)
    assert node.state.pending == (fork.left,)
    master.add("d").sign(200)
    assert node.hear(master) == Taken(5)
    master.add("e").sign(201)
    verdict = node.hear(master)
    assert isinstance(verdict, SplitView)
    assert verdict.alarm.evidence.notes == (fork.left, master.left)
    assert node.tree.size == 5


def test_kept_note_that_the_log_confirms_is_dropped(master: Master) -> None:
    node = joined(master)
    master.add("d").sign(200)
    early = Cache("cache", master.left, master, serves=False)
    master.add("e").sign(300)
    assert isinstance(node.hear(early), Fetch)
    assert len(node.state.pending) == 1
    node.hear(replace(early, held=sign_note(master.tree, 6, ("L1",), {"C1": 310})))
    assert node.hear(master) == Taken(6)
    assert not node.state.pending
    assert newest_line(node.state, node.tree.last.root) == 310


def test_kept_note_above_the_new_size_stays(master: Master) -> None:
    node = joined(master)
    master.add("d", "e", "f").sign(300)
    far = Cache("cache", master.left, master, serves=False)
    node.hear(far)
    near = sign_note(master.tree, 5, ("L1",), {"C1": 200})
    assert node.hear(master, note=near) == Taken(5)
    assert node.state.pending == (far.held,)


def test_only_the_16_largest_notes_are_kept(master: Master) -> None:
    node = joined(master)
    master.add(*(f"more {number}" for number in range(20)))
    master.serves = False
    for size in (*range(5, 24), 24):
        node.hear(master, note=sign_note(master.tree, size, ("L1",), {}))
    kept = [int(raw.split(b"\n")[1]) for raw in node.state.pending]
    assert kept == list(range(9, 25))


def test_one_note_a_tree_is_kept(master: Master) -> None:
    node = joined(master)
    master.add("d")
    master.serves = False
    for time in (200, 201):
        node.hear(master, note=master.sign(time))
    assert node.state.pending == (master.left,)


def test_kept_note_of_a_key_that_the_log_closed_since_is_dropped_without_alarm(master: Master) -> None:
    node = joined(master)
    thief = master.fork(4).add("x", "y", "z")
    thief.serves = False
    thief.sign(200)
    node.hear(thief)
    master.change_root(log_keys=(LogKey(log_key("L2"), None),), clock_keys=(clock_key("C2"),)).add("e", "f")
    master.log_keys, master.clock = ("L2",), "C2"
    master.sign(300)
    assert node.hear(master) == Taken(7)
    assert node.state.pending == ()


# Entries that do not make the root.


def test_source_that_has_no_such_tree_is_bad_and_raises_no_alarm(master: Master) -> None:
    node = joined(master)
    text = Checkpoint(ORIGIN, 6, bytes(32)).text
    note = Note(text, (log_line(text, ORIGIN, signer("L1")),)).encode()
    master.add("d", "e")
    assert isinstance(node.hear(master, note=note), BadSource)
    assert kinds(node) == [Fetch, FetchAll, BadSource]
    assert not node.state.stopped
    assert node.state.pending == ()
    assert node.tree.size == 4


def test_new_node_needs_no_whole_tree_to_know_a_bad_source(master: Master) -> None:
    master.sign(100)
    fork = master.fork(2).add("x", "y")
    node = Node(master.network)
    assert isinstance(node.hear(Cache("liar", master.left, fork)), BadSource)
    assert kinds(node) == [NeedRoot, Fetch, BadSource]


def test_two_trees_that_both_are_signed_are_a_split_view_with_the_hashes(master: Master) -> None:
    node = joined(master)
    fork = master.fork(3).add("x", "y", "z")
    fork.sign(200)
    verdict = node.hear(fork)
    assert isinstance(verdict, SplitView)
    assert kinds(node) == [Fetch, FetchAll, SplitView]
    assert [one.size for one in verdict.alarm.evidence.hashes] == [4, 4]
    assert [one.root for one in verdict.alarm.evidence.hashes] == [tree_root(master, 4), tree_root(fork, 4)]
    assert verdict.alarm.evidence.notes == (fork.left, master.left)


def tree_root(master: Master, size: int) -> str:
    found = master.tree.root_at(size)
    assert found is not None
    return found.hex()


def test_whole_tree_that_does_not_come_is_no_alarm(master: Master) -> None:
    node = joined(master)
    fork = master.fork(3).add("x", "y", "z")
    fork.sign(200)
    step = judge_note(node.state, node.tree, fork.left, "fork", 1).verdict
    assert isinstance(step, Fetch)
    judged = judge_mismatch(node.state, step, 1)
    assert isinstance(judged.verdict, FetchAll)
    assert TreeCheck(judged.verdict, node.state).root_at(4) is None
    assert isinstance(node.hear(OnlyTheEnd("fork", fork.left, fork)), FetchAll)
    assert not node.state.stopped


class OnlyTheEnd(Cache):
    def entries(self, start: int, end: int) -> list[bytes]:
        return super().entries(start, end) if start else []


def test_shell_that_applied_other_entries_than_asked_is_told(master: Master) -> None:
    node = joined(master)
    master.add("d", "e").sign(200)
    judged = judge_note(node.state, node.tree, master.left, "master", 1)
    assert isinstance(judged.verdict, Fetch)
    with pytest.raises(InternalError, match="asked for"):
        judge_entries(judged.state, node.tree, judged.verdict, 1)
    other = master.fork(2).add("x", "d", "e", "f")
    with pytest.raises(InternalError, match="asked for"):
        judge_entries(judged.state, other.tree, judged.verdict, 1)


def test_replica_that_moves_during_a_judgement_is_told(master: Master) -> None:
    master.sign(100)
    node = Node(master.network)
    step = judge_note(node.state, node.tree, master.left, "master", 1).verdict
    assert isinstance(step, NeedRoot)
    with pytest.raises(InternalError, match="moved"):
        judge_root(node.state, master.tree, step, None, 1)


def test_replica_that_does_not_know_its_own_root_is_told(master: Master) -> None:
    class Blind(Tree):
        def root_at(self, size: int) -> bytes | None:
            return None

    with pytest.raises(InternalError, match="own size"):
        judge_note(Node(master.network).state, Blind(), master.sign(1), "master", 1)
