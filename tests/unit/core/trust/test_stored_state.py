"""The stored form of the trust state, its bounds, and the operator's decisions."""

from __future__ import annotations

import json

import pytest

from ledger.core.errors import CorruptError, LedgerError, NotFoundError, UsageError
from ledger.core.trust import (
    Alarm,
    AlarmKind,
    EndedAlarm,
    Evidence,
    Finding,
    Origin,
    TreeHash,
    TrustState,
    Way,
    WentBack,
    finding_of,
    keep_own,
    take_other,
)
from ledger.core.trust.clocks import ClockHistory, Stamp

EVIDENCE = Evidence(
    "why", "source", 5, ("— note ü\n".encode(),), (b"root",), (TreeHash(Origin.SOURCE, 3, "ab"), TreeHash(Origin.REPLICA, 3, "cd"))
)


def alarm(number: int = 1, kind: AlarmKind = AlarmKind.SPLIT_VIEW) -> Alarm:
    return Alarm(kind, f"{number} abcd", EVIDENCE)


def full_state() -> TrustState:
    return TrustState(
        "ab" * 32,
        note=b"note",
        pending=(b"one", b"two"),
        clocks=(ClockHistory("key").record(3, Stamp(5, b"n")).record(4, Stamp(6, b"m")).hold(5),),
        alarms=(alarm(), alarm(2, AlarmKind.ROLLBACK)),
        ended=(EndedAlarm(alarm(3), Way.OPERATOR_KEPT_OWN, "anna", 7),),
        went_back=(WentBack(9, 4, 2, 8),),
        refused=(TreeHash(Origin.SOURCE, 3, "ab"),),
    )


def test_state_is_the_same_after_storing() -> None:
    for state in (TrustState("ab" * 32), full_state()):
        text = state.to_json()
        assert TrustState.from_json(text) == state
        assert TrustState.from_json(text).to_json() == text


def test_state_of_a_program_that_gave_no_findings_is_read() -> None:
    members = json.loads(full_state().to_json())
    for one in (*members["alarms"], *(ended["alarm"] for ended in members["ended"])):
        assert one["evidence"].pop("finding") == ""
    assert TrustState.from_json(json.dumps(members)) == full_state()


def test_finding_that_is_none_counts_as_what_it_would_have_been() -> None:
    told = LedgerError("the server says so", finding="compression-bomb")
    forged = LedgerError("the server says so", finding="\x1b[2Jall-is-well")
    assert finding_of(told, Finding.OTHER_ENTRIES) is Finding.COMPRESSION_BOMB
    for one in (forged, LedgerError("it says nothing"), LedgerError("it says a number", finding=5)):
        assert finding_of(one, Finding.OTHER_ENTRIES) is Finding.OTHER_ENTRIES


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"network":"x"}', "[" * 100_000])
def test_what_is_no_state_is_corrupt(text: str) -> None:
    with pytest.raises(CorruptError):
        TrustState.from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network", 5),
        ("note", 5),
        ("pending", "one"),
        ("pending", [5]),
        ("version", True),
        ("version", 2),
        ("alarms", [{"kind": "split-view"}]),
        ("alarms", [None]),
        ("refused", [{"whose": "nobody", "size": 3, "root": "ab"}]),
        ("clocks", [{"vkey": "key", "spans": [], "held": "5"}]),
    ],
)
def test_wrong_type_in_a_stored_state_is_corrupt(name: str, value: object) -> None:
    members = json.loads(full_state().to_json())
    members[name] = value
    with pytest.raises(CorruptError, match="trust state"):
        TrustState.from_json(json.dumps(members))


def test_alarm_of_one_subject_is_kept_once_and_no_more_than_16() -> None:
    state = TrustState("ab" * 32)
    for number in range(20):
        state = state.with_alarm(alarm(number)).with_alarm(alarm(number))
    assert [one.subject for one in state.alarms] == [f"{number} abcd" for number in range(16)]
    assert state.stopped


def test_alarms_have_names_of_their_own() -> None:
    names = {alarm(1).name, alarm(2).name, alarm(1, AlarmKind.ROLLBACK).name}
    assert len(names) == 3
    assert all(len(name) == 16 for name in names)


@pytest.mark.parametrize("decide", [keep_own, take_other])
def test_operator_decides_about_split_views_only(decide: type) -> None:
    state = TrustState("ab" * 32).with_alarm(alarm(2, AlarmKind.ROLLBACK))
    with pytest.raises(UsageError, match="lists that clock key no more"):
        decide(state, state.alarms[0].name, "anna", 1)
    with pytest.raises(NotFoundError):
        decide(state, alarm(1).name, "anna", 1)


def test_keeping_ones_own_refuses_the_other_tree_at_every_size_known() -> None:
    state = keep_own(TrustState("ab" * 32, pending=(b"x",)).with_alarm(alarm(7)), alarm(7).name, "anna", 1)
    assert state.refused == (TreeHash(Origin.SOURCE, 3, "ab"), TreeHash(Origin.SOURCE, 7, "abcd"))
    assert state.pending == ()


def test_taking_the_other_refuses_ones_own_tree_and_forgets_the_rest() -> None:
    state = take_other(full_state(), alarm().name, "anna", 1)
    assert state.refused == (TreeHash(Origin.SOURCE, 3, "ab"), TreeHash(Origin.REPLICA, 3, "cd"))
    assert (state.note, state.pending, state.clocks, state.alarms) == (None, (), (), ())
    assert [one.alarm.subject for one in state.ended] == ["3 abcd", "1 abcd", "2 abcd"]
