"""Changes read from a copy: every version once, whatever the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.client import changes
from ledger.client.changes import Shown, Watched, read_changes
from ledger.core.errors import UsageError
from ledger.core.statement import derive_id
from tests.support.small_copy import copied_log, small_log
from tests.support.small_network import SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.answers import Change
    from ledger.core.canonical import JSONObject
    from tests.support.small_copy import SmallLog


@pytest.mark.parametrize("page", [3, 4, 5, 1000])
def test_every_version_is_told_once(tmp_path: Path, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = SmallNetwork()
    who: JSONObject = {"name": "new", "type": "user", "permissions": ["everything"]}
    invite: JSONObject = {**who, "key": key("invite").public.text, "expires": "2026-11-22T10:00:00Z"}
    member: JSONObject = {**who, "key": key("new").public.text, "invite": "the-invite"}
    joined = [
        network.signed("put", "invite", "the-invite", invite, extra=("invite",)),
        network.signed("put", "member", derive_id("member", member), member, "invite", extra=("new",)),
    ]
    turned = [network.put("one", n=1), network.put("one", n=2), network.signed("drop", "thing", "one", None)]
    log = small_log(tmp_path / "ledger.db", [*network.things(3), *joined, *turned], network=network)
    size = log.look(lambda snapshot: snapshot.head().size)
    monkeypatch.setattr(changes, "PAGE", page)
    told = told_of(log, "all", "", size)
    assert [change.op for change in told[:3]] == ["put"] * 3
    # The member's own put takes its invite out of force: one entry, two versions.
    assert told[3].id == "the-invite"
    assert {(change.op, change.id) for change in told[4:6]} == {("put", derive_id("member", member)), ("drop", "the-invite")}
    assert told[4].index == told[5].index
    assert [(change.op, change.id, change.policy is None) for change in told[6:]] == [
        ("put", "one", False),
        ("change", "one", False),
        ("drop", "one", True),
    ]
    everything = Watched.parse("all", "", TurnedClock())
    assert log.look(lambda snapshot: read_changes(snapshot, start=size, end=size, watched=everything)) == []


def told_of(log: SmallLog, kind: str, clause: str, size: int) -> list[Change]:
    watched = Watched.parse(kind, clause, TurnedClock())
    told = log.look(lambda snapshot: read_changes(snapshot, start=3, end=size, watched=watched))
    return [change for change in told if change.kind != "mark"]


@pytest.mark.parametrize(
    ("kind", "clause", "effects"),
    [
        ("thing", "", ["one enter", "two enter", "one alter", "one alter", "two leave", "one leave", "two enter"]),
        ("thing", "where n > 1", ["two enter", "one enter", "one alter", "two leave", "one leave", "two enter"]),
        ("thing where n > 1 and", "n < 3", ["two enter", "one enter", "one leave", "two leave", "two enter"]),
        ("all", "id = one and n = 2", ["one enter", "one leave"]),
        ("thing", "n = 7", []),
        ("site", "", []),
    ],
)
def test_a_change_enters_alters_or_leaves_what_is_watched(tmp_path: Path, kind: str, clause: str, effects: list[str]) -> None:
    network = SmallNetwork()
    puts = [network.put("one", n=1), network.put("two", n=2), network.put("one", n=2), network.put("one", n=3)]
    after = [network.signed("drop", "thing", name, None) for name in ("two", "one")]
    log = small_log(tmp_path / "ledger.db", [*puts, *after, network.put("two", n=2)], network=network)
    size = log.look(lambda snapshot: snapshot.head().size)
    assert [f"{change.id} {change.effect}" for change in told_of(log, kind, clause, size)] == effects


@pytest.mark.parametrize("clause", ["order by n", "limit 1", "bring [n]", "where n", "with (get site where n = [thing][n])"])
def test_a_watch_has_a_condition_and_nothing_else(clause: str) -> None:
    with pytest.raises(UsageError):
        Watched.parse("thing", clause, TurnedClock())


def test_what_is_undone_is_told_once_and_what_stands_again_unseen_is_no_change(tmp_path: Path) -> None:
    network = SmallNetwork()
    first, second, other = (network.put(name, n=1) for name in ("one", "two", "three"))
    begun, shown = len(network.first), Shown(Watched.parse("thing", "", TurnedClock()))
    tails = [first, second], [first], [other], [other, first]
    forks = [copied_log(tmp_path / f"{number}.db", [*network.first, *tail], network, final=begun) for number, tail in enumerate(tails)]
    assert forks[0].look(shown.begin) == begun + 2
    told = [[(one.op, one.id, one.index) for one in fork.look(shown.look)] for fork in (*forks, forks[-1])]
    assert told == [
        [],
        [("undone", "", begun + 1)],
        [("undone", "", begun), ("put", "three", begun)],
        [("put", "one", begun + 1)],
        [],
    ]
