"""What a good note is, sentence by sentence of FORMATS 9."""

from __future__ import annotations

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import BadSourceError
from ledger.core.note import CLOCK_KIND, Line, Note, VerifierKey, clock_line, log_line, parse_note
from ledger.core.root import LogKey
from ledger.core.trust import Finding, judge_good
from ledger.core.trust.tenure import Tenure, tenures
from tests.property.trust.simulator import ORIGIN, Master, clock_key, log_key, sign_note, signer, witness_key


@pytest.fixture
def master() -> Master:
    return Master.create().add("a", "b")


NAMED = {
    "at most 16384 bytes": Finding.NO_CHECKPOINT,
    "three lines": Finding.NO_CHECKPOINT,
    "no root is known": Finding.NO_KNOWN_ROOT,
    "another origin": Finding.OTHER_NETWORK,
    "is not a signature": Finding.BAD_LINE,
    "no log key": Finding.WRONG_KEY,
    "fewer than": Finding.TOO_FEW_WITNESSES,
}


def refuse(master: Master, raw: bytes, reason: str) -> None:
    with pytest.raises(BadSourceError, match=reason) as refused:
        judge_good(raw, master.tree.roots())
    assert refused.value.context["finding"] == next(name for words, name in NAMED.items() if reason.startswith(words))


def test_note_of_an_open_log_key_is_good(master: Master) -> None:
    note = judge_good(master.sign(7), master.tree.roots())
    assert (note.size, note.time, note.checkpoint.root) == (3, 7, master.tree.root_at(3))
    assert [line.vkey for line in note.clock_lines] == [clock_key("C1")]


def test_note_without_a_clock_line_is_good_and_has_no_time(master: Master) -> None:
    assert judge_good(sign_note(master.tree, 3, ("L1",), {}), master.tree.roots()).time == -1


def test_note_over_16_kib_is_refused(master: Master) -> None:
    note = parse_note(master.sign(7))
    junk = Line("x" * 200, b"1234", b"s" * 64)
    whole = note.with_lines(*[junk] * 30)
    assert judge_good(whole.encode(), master.tree.roots()).size == 3
    refuse(master, note.with_lines(*[junk] * 60).encode(), "at most 16384 bytes")


def test_note_of_four_lines_is_refused(master: Master) -> None:
    text = parse_note(master.sign(7)).text + "extension\n"
    refuse(master, Note(text, (log_line(text, ORIGIN, signer("L1")),)).encode(), "three lines")


def test_note_of_size_0_has_no_root_in_its_tree(master: Master) -> None:
    text = Checkpoint(ORIGIN, 0, bytes(32)).text
    refuse(master, Note(text, (log_line(text, ORIGIN, signer("L1")),)).encode(), "no root is known to stand in the tree of size 0")


def test_note_of_another_origin_is_refused(master: Master) -> None:
    text = Checkpoint("elsewhere", 3, bytes(32)).text
    refuse(master, Note(text, (log_line(text, "elsewhere", signer("L1")),)).encode(), "another origin")


def test_log_key_counts_only_under_the_name_of_the_origin() -> None:
    master = Master.create(log_keys=(LogKey(log_key("L1", "elsewhere"), None),))
    text = Checkpoint(ORIGIN, 1, bytes(32)).text
    refuse(master, Note(text, (log_line(text, "elsewhere", signer("L1")),)).encode(), "no log key")


def test_unknown_lines_are_ignored(master: Master) -> None:
    note = parse_note(master.sign(7)).with_lines(Line("stranger", b"1234", b"junk"))
    assert judge_good(note.encode(), master.tree.roots()).time == 7


@pytest.mark.parametrize("key", ["L1", "C1", "W1"])
def test_bad_line_of_a_known_key_spoils_the_note(key: str) -> None:
    master = Master.create(witnesses=(witness_key("W1"),))
    note = parse_note(sign_note(master.tree, 1, ("L1",), {"C1": 5}, ("W1",)))
    assert judge_good(note.encode(), master.tree.roots()).size == 1
    spoiled = tuple(
        Line(line.name, line.key_id, line.signature[:-1] + bytes((line.signature[-1] ^ 1,))) if _is_of(line, key) else line
        for line in note.lines
    )
    assert spoiled != note.lines
    refuse(master, Note(note.text, spoiled).encode(), "is not a signature of this note")


def _is_of(line: Line, key: str) -> bool:
    names = {"L1": ORIGIN, "C1": f"{ORIGIN}/clock", "W1": "witness.example/W1"}
    return line.name == names[key]


def test_bad_line_of_a_closed_log_key_spoils_the_note(master: Master) -> None:
    master.change_root(log_keys=(LogKey(log_key("L2"), None),)).add("c")
    good = parse_note(sign_note(master.tree, 5, ("L2",), {}))
    old = log_line("another text\n", ORIGIN, signer("L1"))
    refuse(master, good.with_lines(old).encode(), "is not a signature")


def test_of_two_clock_lines_of_one_key_the_first_counts(master: Master) -> None:
    note = parse_note(master.sign(7))
    later = clock_line(note.text, f"{ORIGIN}/clock", signer("C1"), 99)
    assert judge_good(note.with_lines(later).encode(), master.tree.roots()).time == 7


def test_vkeys_that_make_no_sense_are_passed_over() -> None:
    master = Master.create(
        log_keys=(LogKey("nonsense", None), LogKey(log_key("L1"), None)),
        clock_keys=("nonsense", log_key("L1"), clock_key("C1")),
        witnesses=("nonsense",),
    )
    assert judge_good(master.sign(7), master.tree.roots()).time == 7


def test_clock_key_counts_only_under_its_own_name() -> None:
    other = VerifierKey("elsewhere/clock", CLOCK_KIND, signer("C1").public)
    master = Master.create(clock_keys=(other.text,))
    text = parse_note(sign_note(master.tree, 1, ("L1",), {})).text
    note = Note(text, (log_line(text, ORIGIN, signer("L1")), clock_line(text, "elsewhere/clock", signer("C1"), 9)))
    assert judge_good(note.encode(), master.tree.roots()).clock_lines == ()


def test_quorum_counts_different_witnesses() -> None:
    master = Master.create(witnesses=(witness_key("W1"), witness_key("W2")), quorum=2)
    assert judge_good(sign_note(master.tree, 1, ("L1",), {}, ("W1", "W2")), master.tree.roots()).size == 1
    refuse(master, sign_note(master.tree, 1, ("L1",), {}, ("W1",)), "fewer than 2 witnesses")
    refuse(master, sign_note(master.tree, 1, ("L1",), {}, ("W1", "W1")), "fewer than 2 witnesses")
    refuse(master, sign_note(master.tree, 1, ("L1",), {}, ("W1", "W3")), "fewer than 2 witnesses")


def test_one_key_under_two_witness_names_counts_once() -> None:
    alias = VerifierKey("alias", CLOCK_KIND, signer("W1").public)
    master = Master.create(witnesses=(witness_key("W1"), alias.text), quorum=2)
    note = parse_note(sign_note(master.tree, 1, ("L1",), {}, ("W1",)))
    refuse(master, note.with_lines(clock_line(note.text, "alias", signer("W1"), 1)).encode(), "fewer than 2 witnesses")


def test_clock_key_is_no_witness() -> None:
    alias = VerifierKey("witness.example/C1", CLOCK_KIND, signer("C1").public)
    for listed in (clock_key("C1"), alias.text):
        master = Master.create(witnesses=(listed,), quorum=1)
        refuse(master, sign_note(master.tree, 1, ("L1",), {"C1": 5}, ("C1",)), "fewer than 1 witnesses")


def test_origin_quorum_and_witnesses_are_those_of_the_newest_root_in_the_notes_own_tree() -> None:
    master = Master.create().add("a")
    master.change_root(origin="another", witnesses=(witness_key("W1"),), quorum=1, log_keys=(*master.tree.last.root.log_keys,))
    assert judge_good(sign_note(master.tree, 2, ("L1",), {}), master.tree.roots()).size == 2
    text = Checkpoint(ORIGIN, 3, bytes(32)).text
    refuse(master, Note(text, (log_line(text, ORIGIN, signer("L1")),)).encode(), "another origin")


def test_log_keys_are_those_of_the_newest_root_known(master: Master) -> None:
    note = sign_note(master.tree, 3, ("L2",), {})
    refuse(master, note, "no log key that is open at size 3")
    master.change_root(log_keys=(LogKey(log_key("L2"), None),))
    refuse(master, note, "no log key that is open at size 3")
    assert judge_good(sign_note(master.tree, 4, ("L2",), {}), master.tree.roots()).size == 4


def test_clock_keys_are_those_of_the_newest_root_known(master: Master) -> None:
    note = sign_note(master.tree, 3, ("L1",), {"C1": 5, "C2": 6})
    assert judge_good(note, master.tree.roots()).time == 5
    master.change_root(clock_keys=(clock_key("C2"),))
    assert judge_good(note, master.tree.roots()).time == 6


def covers(master: Master, name: str) -> list[int]:
    tenure = tenures(master.tree.roots())[log_key(name)]
    return [size for size in range(12) if tenure.covers(size)]


def test_log_key_opens_after_the_root_that_lists_it_and_closes_with_the_root_that_does_not(master: Master) -> None:
    master.change_root(log_keys=(LogKey(log_key("L2"), None),))
    assert covers(master, "L1") == [1, 2, 3, 4]
    assert covers(master, "L2") == [4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(("until", "last"), [(0, 4), (4, 4), (7, 7)])
def test_last_size_is_the_larger_of_until_and_the_root_after(master: Master, until: int, last: int) -> None:
    master.change_root(log_keys=(LogKey(log_key("L1"), until), LogKey(log_key("L2"), None)))
    assert covers(master, "L1") == list(range(1, last + 1))


def test_log_key_is_closed_for_ever(master: Master) -> None:
    master.change_root(log_keys=(LogKey(log_key("L1"), 5), LogKey(log_key("L2"), None)))
    master.change_root(log_keys=(LogKey(log_key("L1"), None),))
    master.change_root(log_keys=(LogKey(log_key("L1"), 11), LogKey(log_key("L2"), 9)))
    assert covers(master, "L1") == [1, 2, 3, 4, 5]
    assert covers(master, "L2") == [4, 5]


def test_log_key_may_be_closed_by_the_root_that_first_lists_it(master: Master) -> None:
    master.change_root(log_keys=(LogKey(log_key("L1"), None), LogKey(log_key("L2"), 6)))
    assert tenures(master.tree.roots())[log_key("L2")] == Tenure(4, 6)


def test_continues_closes_the_old_keys_at_its_size_even_when_listed_again(master: Master) -> None:
    order = {"type": "log", "continues": {"size": 2, "root": "00" * 32}}
    listed = (LogKey(log_key("L1"), None), LogKey(log_key("L2"), None))
    master.change_root(order=order, log_keys=listed)
    master.change_root(order=order)
    master.change_root(order={"type": "log"})
    master.change_root(order=order)
    assert covers(master, "L1") == [1, 2]
    assert covers(master, "L2") == list(range(4, 12))
