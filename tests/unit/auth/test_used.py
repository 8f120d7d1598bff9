"""What was used once stays used: until it is over, in bounded space, whatever ends the process."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from auth.used import UsedSlots
from ledger.core.errors import BusyError, UnavailableError
from tests.support.identities import NOW, FrozenClock

if TYPE_CHECKING:
    from pathlib import Path


def test_used_once_forgets_what_is_over_and_nothing_else() -> None:
    clock = FrozenClock()
    used = UsedSlots(clock, capacity=2, per_owner=2)
    assert used.take("a", "1", NOW + 10)
    assert used.take("b", "1", NOW + 20)
    assert not used.take("a", "1", NOW + 10)
    with pytest.raises(BusyError) as caught:
        used.take("c", "1", NOW + 10)
    assert caught.value.retry_after > 0
    clock.seconds = NOW + 10
    assert used.take("c", "1", NOW + 20)
    assert not used.take("b", "1", NOW + 20)


def test_used_once_one_owner_cannot_shut_out_the_others() -> None:
    used = UsedSlots(FrozenClock(), capacity=100, per_owner=3)
    for number in range(3):
        assert used.take("flood", str(number), NOW + 60)
    with pytest.raises(BusyError):
        used.take("flood", "3", NOW + 60)
    assert used.take("calm", "1", NOW + 60)
    assert not used.take("flood", "1", NOW + 60)


def test_used_once_counts_what_is_left_of_an_owner() -> None:
    clock = FrozenClock()
    used = UsedSlots(clock, per_owner=2)
    assert used.take("a", "1", NOW + 10)
    assert used.take("a", "2", NOW + 20)
    clock.seconds = NOW + 15
    assert used.take("a", "3", NOW + 20)
    with pytest.raises(BusyError):
        used.take("a", "4", NOW + 20)


def test_restart_forgets_nothing_that_is_not_over(tmp_path: Path) -> None:
    clock, path = FrozenClock(), tmp_path / "used"
    before = UsedSlots(clock, path)
    assert before.take("a", "1", NOW + 10)
    assert before.take("a", "2", NOW + 60)
    after = UsedSlots(clock, path)  # the former one was never closed, as after a kill
    assert not after.take("a", "1", NOW + 10)
    clock.seconds = NOW + 30
    later = UsedSlots(clock, path)
    assert not later.take("a", "2", NOW + 60)
    assert later.take("a", "1", NOW + 60)
    assert not UsedSlots(clock, path).take("a", "1", NOW + 60)


def test_slots_that_ended_are_used_again_and_live_ones_never(tmp_path: Path) -> None:
    clock, path = FrozenClock(), tmp_path / "used"
    used = UsedSlots(clock, path, capacity=3)
    assert used.take("long", "stays", NOW + 1_000)
    for turn in range(20):
        clock.seconds = NOW + turn * 10
        assert used.take("short", str(2 * turn), int(clock.seconds) + 5)
        assert used.take("short", str(2 * turn + 1), int(clock.seconds) + 5)
        with pytest.raises(BusyError):
            used.take("short", "one too many", int(clock.seconds) + 5)
    assert not UsedSlots(clock, path, capacity=3).take("long", "stays", NOW + 1_000)


def test_file_is_private_whole_and_of_one_size(tmp_path: Path) -> None:
    path = tmp_path / "used"
    before = os.umask(0)
    try:
        UsedSlots(FrozenClock(), path, capacity=16)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 16 * 32
    assert path.stat().st_blocks > 0
    path.write_bytes(b"junk")
    assert UsedSlots(FrozenClock(), path, capacity=16).take("a", "1", NOW + 1)
    assert path.stat().st_size == 16 * 32


def test_owner_and_token_are_not_confused() -> None:
    used = UsedSlots(FrozenClock())
    assert used.take("ab", "c", NOW + 1)
    assert used.take("a", "bc", NOW + 1)


def test_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "none" / "used", tmp_path / "link", tmp_path):
        with pytest.raises(UnavailableError, match="cannot use"):
            UsedSlots(FrozenClock(), path)
