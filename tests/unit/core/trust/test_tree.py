"""Where two trees part: found while one of them is read, and proven by what stands there in each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.merkle import Frontier, leaf_hash, leaf_hashes, verify_inclusion
from ledger.core.receipt import parse_receipt
from ledger.core.trust import FetchAll, TreeCheck, TrustState
from ledger.core.trust.verdicts import Ticket
from tests.property.trust.simulator import Master

NOTE = Master.create().sign(1)
OURS = [bytes([number]) for number in range(12)]
SIX = 6


def checked(entries: list[bytes], own: list[bytes], page: int = 5) -> TreeCheck:
    ticket = Ticket(NOTE, "source", len(own), b"", 1)
    check = TreeCheck(FetchAll(ticket, len(entries), min(len(own), len(entries))), TrustState("0" * 64))
    leaves = leaf_hashes(own)
    for start in range(0, len(entries), page):
        check.add(entries[start : start + page], leaves[start : start + page])
    return check


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ([*OURS[:6], *OURS[7:], b"x"], "entry 6 is missing"),
        ([*OURS[:6], b"x", *OURS[6:]], "an entry was put in at 6"),
        ([*OURS[:6], b"x", *OURS[7:]], "entry 6 is another one"),
        ([*OURS[:6], OURS[7], OURS[6], *OURS[8:]], "from entry 6 on the entries stand in another order"),
        ([*OURS[:6], OURS[11], *OURS[7:11], OURS[6]], "from entry 6 on the entries stand in another order"),
    ],
)
@pytest.mark.parametrize("page", [1, 5, 100])
def test_what_was_done_to_the_log_is_said(theirs: list[bytes], words: str, page: int) -> None:
    check = checked(theirs, OURS, page)
    assert (check.fork, check.difference) == (SIX, words)


def test_equal_trees_do_not_part() -> None:
    check = checked([*OURS, b"more"], OURS)
    assert (check.fork, check.difference, check.receipts()) == (None, "", ())


@given(st.integers(1, 70), st.integers(0, 69), st.integers(1, 9))
def test_their_entry_is_proven_under_their_tree(size: int, place: int, page: int) -> None:
    place %= size
    ours = [b"%d" % number for number in range(size)]
    theirs = [*ours[:place], b"other", *ours[place + 1 :]]
    check = checked(theirs, ours, page)
    (raw,) = check.receipts()
    receipt = parse_receipt(raw)
    assert (receipt.index, receipt.entry, receipt.note) == (place, b"other", NOTE)
    tree = Frontier()
    tree.append_many(leaf_hashes(theirs))
    verify_inclusion(leaf_hash(b"other"), place, size, receipt.proof, tree.root())


def test_own_receipt_stands_beside_theirs() -> None:
    check = checked([b"x", *OURS[1:]], OURS)
    check.own_receipt = b"ours"
    assert check.receipts()[1] == b"ours"
