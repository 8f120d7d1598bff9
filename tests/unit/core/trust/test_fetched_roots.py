"""Roots of the source before the fetch, roots of the entries after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.core.root import LogKey
from ledger.core.trust import (
    BadNote,
    BadSource,
    Fetch,
    FetchAll,
    Finding,
    NeedRoot,
    SplitView,
    Taken,
)
from tests.property.trust.simulator import (
    Cache,
    Master,
    log_key,
    root_entry,
    sign_note,
    witness_key,
)
from tests.unit.core.trust.scenes import joined, kinds


@pytest.fixture
def master() -> Master:
    return Master.create().add("a", "b", "c")


# Roots before the fetch and after.


def test_unknown_log_key_is_proven_by_roots_of_the_source_upwards(master: Master) -> None:
    node = joined(master)
    master.change_root(log_keys=(LogKey(log_key("L2"), None),)).add("d")
    master.change_root(log_keys=(LogKey(log_key("L3"), None),)).add("e")
    master.log_keys = ("L3",)
    master.sign(200)
    assert node.hear(master) == Taken(8)
    assert [one.version for one in node.verdicts if isinstance(one, NeedRoot)] == [2, 3]


def test_new_witnesses_and_origin_are_proven_by_roots_too(master: Master) -> None:
    node = joined(master)
    master.change_root(witnesses=(witness_key("W1"),), quorum=1)
    master.witnesses = ("W1",)
    master.sign(200)
    assert node.hear(master) == Taken(5)
    master.add("d")
    master.witnesses = ()
    master.sign(300)
    assert isinstance(node.hear(master), BadNote)


def test_key_that_no_root_proves_is_a_bad_note(master: Master) -> None:
    node = joined(master)
    master.add("d")
    master.log_keys = ("L2",)
    master.sign(200)
    assert isinstance(node.hear(master), BadNote)
    assert [one.version for one in node.verdicts if isinstance(one, NeedRoot)] == [2]


def test_source_whose_roots_are_those_of_the_log_proves_nothing(master: Master) -> None:
    master.change_root(stale_after=9)
    node = joined(master)
    master.add("d")
    master.log_keys = ("L2",)
    master.sign(200)
    assert node.hear(master) == BadNote("size 6: no log key that is open at size 6 signed the note", Finding.WRONG_KEY)
    assert [one.version for one in node.verdicts if isinstance(one, NeedRoot)] == [3, 2]


def test_root_that_the_entries_lack_is_evidence_against_the_source(master: Master) -> None:
    node = joined(master)
    secret = master.fork(4).change_root(log_keys=(LogKey(log_key("L2"), None),))
    entry = secret.tree.entries[-1]
    liar = master.fork(4, "liar", log_keys=("L2",)).add("x", "y")
    liar.left = sign_note(liar.tree, 6, ("L2",), {"C1": 200})
    liar.tree.root_entries.append(entry)
    verdict = node.hear(liar)
    assert isinstance(verdict, BadSource)
    assert kinds(node) == [NeedRoot, Fetch, BadSource]
    assert verdict.evidence.notes == (liar.left,)
    assert verdict.evidence.roots == (entry,)
    assert not node.state.stopped
    assert node.state.pending == ()
    assert node.tree.size == 4


def test_root_that_a_tree_reached_already_lacks_is_evidence_too(master: Master) -> None:
    master.add("d", "e")
    node = joined(master)
    entry = master.fork(4).change_root(log_keys=(LogKey(log_key("L2"), None),)).tree.entries[-1]
    liar = master.fork(6, "liar")
    liar.left = sign_note(liar.tree, 6, ("L2",), {})
    liar.tree.root_entries.append(entry)
    verdict = node.hear(liar)
    assert isinstance(verdict, BadSource)
    assert verdict.evidence.roots == (entry,)
    assert kinds(node) == [NeedRoot, BadSource]


def test_root_without_room_in_the_tree_is_a_bad_note(master: Master) -> None:
    node = joined(master)
    liar = master.fork(4, "liar").change_root(log_keys=(LogKey(log_key("L2"), None),))
    liar.left = sign_note(liar.tree, 1, ("L2",), {})
    assert node.hear(liar) == BadNote("the roots that came with it do not fit into its tree", Finding.BAD_ROOTS)


def test_note_good_before_the_fetch_may_be_bad_by_its_own_entries(master: Master) -> None:
    node = joined(master)
    master.change_root(log_keys=(LogKey(log_key("L2"), None),)).add("d")
    thief = Cache("thief", sign_note(master.tree, 6, ("L1",), {}), master)
    verdict = node.hear(thief)
    assert isinstance(verdict, BadNote)
    assert "by the roots in its own entries" in verdict.reason
    assert kinds(node) == [Fetch, BadNote]
    assert node.tree.size == 4
    assert node.state.pending == ()


def test_fork_under_a_root_of_its_own_is_a_split_view_at_any_size(master: Master) -> None:
    """The log key was changed in one of two views only: no key is known to both."""
    master.add("d", "e", "f")
    node = joined(master)
    for size in (5, 9):
        fork = master.fork(3, f"fork to {size}").change_root(log_keys=(LogKey(log_key("L2"), None),))
        fork.add(*("x" for _ in range(size - 4)))
        fork.log_keys = ("L2",)
        fork.sign(100)
        other = node.backup()
        assert isinstance(other.hear(fork), SplitView)


def test_two_roots_of_one_version_that_both_were_used_are_a_split_view(master: Master) -> None:
    fork = master.fork(4, "fork").change_root(log_keys=(LogKey(log_key("L2"), None),)).add("x", "y")
    fork.log_keys = ("L2",)
    fork.sign(100)
    master.change_root(log_keys=(LogKey(log_key("L3"), None),)).add("d")
    master.log_keys = ("L3",)
    node = joined(master)
    verdict = node.hear(fork)
    assert isinstance(verdict, SplitView)
    assert [one.version for one in node.verdicts if isinstance(one, NeedRoot)] == [3, 2]
    assert verdict.alarm.evidence.roots == (fork.tree.root_entries[1],)


def test_source_that_knows_fewer_roots_is_asked_downwards_and_no_further_than_version_2(master: Master) -> None:
    master.change_root(log_keys=(LogKey(log_key("L2"), None),)).change_root(stale_after=5)
    master.log_keys = ("L2",)
    node = joined(master)
    old = master.fork(4, "old")
    old.left = sign_note(old.tree, 4, ("L8",), {})
    assert isinstance(node.hear(old), BadNote)
    assert [one.version for one in node.verdicts if isinstance(one, NeedRoot)] == [4, 3, 2]


def test_roots_that_the_admins_did_not_sign_prove_nothing(master: Master) -> None:
    node = joined(master)
    before = master.tree.last
    forged = replace(before.root, version=2, log_keys=(LogKey(log_key("L2"), None),))
    liar = master.fork(4, "liar").add("x")
    liar.left = sign_note(liar.tree, 5, ("L2",), {})
    for entry in (b"junk", root_entry(forged, before, master.network, ("A2",)), root_entry(forged, None, master.network)):
        liar.tree.root_entries[1:] = [entry]
        assert isinstance(node.hear(liar), BadNote)


def test_fork_whose_entries_lack_the_root_that_came_with_it_is_no_alarm(master: Master) -> None:
    """Whoever holds a key of a root that was signed but never logged stops nobody."""
    master.add("d", "e")
    node = joined(master)
    secret = master.fork(4).change_root(log_keys=(LogKey(log_key("L2"), None),))
    liar = master.fork(3, "liar").add("x", "y")
    liar.left = sign_note(liar.tree, 5, ("L2",), {})
    liar.tree.root_entries.append(secret.tree.entries[-1])
    assert isinstance(node.hear(liar), BadSource)
    assert kinds(node) == [NeedRoot, FetchAll, BadSource]
    assert not node.state.stopped
