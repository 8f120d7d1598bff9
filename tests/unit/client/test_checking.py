"""`verify ledger`: whatever is changed in the file is found and named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.client.checking import verify_snapshot
from ledger.core.errors import CorruptError
from tests.support.small_copy import SmallLog, copied_log, small_log
from tests.support.small_network import IAT, SmallNetwork

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.checking import Checked
    from ledger.core.canonical import JSONObject


@pytest.fixture
def log(tmp_path: Path) -> SmallLog:
    return small_log(tmp_path / "ledger.db")


def verify(log: SmallLog, *, deep: bool = False, network: str | None = None) -> Checked:
    return log.look(lambda snapshot: verify_snapshot(snapshot, network or log.network.id, deep=deep))


@pytest.mark.parametrize("deep", [False, True])
def test_an_honest_log_agrees_with_itself(log: SmallLog, deep: bool) -> None:
    checked = verify(log, deep=deep)
    assert (checked.verified, checked.detail, checked.void) == (True, "everything agrees", 0)
    assert checked.accepted == checked.size
    assert checked.state_root is not None


def test_progress_is_told(log: SmallLog) -> None:
    told: list[int] = []
    size = log.look(lambda snapshot: verify_snapshot(snapshot, log.network.id, progress=told.append)).size
    assert sum(told) == size


def test_the_log_of_another_network_is_found_at_its_first_entry(log: SmallLog) -> None:
    checked = verify(log, network="0" * 64)
    assert (checked.verified, checked.index) == (False, 0)


@pytest.mark.parametrize(
    ("change", "said", "index"),
    [
        ("UPDATE entry SET bytes = CAST(bytes || 'x' AS BLOB) WHERE idx = 4", "entry 4 was changed", 4),
        ("UPDATE node SET hash = zeroblob(32) WHERE place = 2", "a tree node over entries", None),
        ("DELETE FROM checkpoint", "there is no signed checkpoint", None),
        ("UPDATE checkpoint SET note = CAST('x' AS BLOB)", "the newest checkpoint is not good", None),
        ("INSERT INTO void VALUES (4, 'conflict', 'made up')", "entry 4 is in force but stands as void", 4),
        ("DELETE FROM entry WHERE idx = (SELECT max(idx) FROM entry)", "is missing", None),
    ],
)
def test_a_change_is_found(log: SmallLog, change: str, said: str, index: int | None) -> None:
    log.change(change)
    checked = verify(log)
    assert checked.verified is False
    assert said in checked.detail
    assert checked.state_root is None
    if index is not None:
        assert checked.index == index
    assert checked.facts()["verified"] is False


def test_a_tree_that_does_not_make_its_head_is_not_opened(log: SmallLog) -> None:
    log.change("UPDATE head SET root = zeroblob(32)")
    with pytest.raises(CorruptError, match="does not make the root"):
        verify(log)


def test_the_checkpoint_of_a_smaller_tree_is_not_one_of_the_whole(tmp_path: Path) -> None:
    log = small_log(tmp_path / "ledger.db")
    log.change("DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)")
    assert verify(log).verified is False


def test_a_void_entry_must_stand_as_void(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = copied_log(tmp_path / "ledger.db", [*network.first, network.signed("put", "thing", "mine", {"name": "x"}, "stranger")], network)
    assert "there is no signed checkpoint" in verify(log).detail
    assert verify(log).void == 1
    log.change("DELETE FROM void")
    checked = verify(log)
    assert (checked.index, "stands as accepted" in checked.detail) == (3, True)


def test_a_mark_that_lies_about_the_state_is_found_by_a_deep_look(tmp_path: Path) -> None:
    network = SmallNetwork(state_every=3)
    body: JSONObject = {"time": IAT, "state": {"size": 3, "root": "0" * 64}}
    mark = network.signed("put", "mark", "mark", body, "mark")
    log = copied_log(tmp_path / "ledger.db", [*network.first, mark, *network.things(2)], network)
    assert "no signed checkpoint" in verify(log).detail
    checked = verify(log, deep=True)
    assert (checked.index, "state root for size 3" in checked.detail) == (3, True)
