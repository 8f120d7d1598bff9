"""One token key follows another: both count for a while, then the one before and its file are gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from auth.tokenkeys import GRACE_SECONDS, NEXT, TokenKeyFiles, former, rotate_token_key
from ledger.core.errors import NotFoundError
from ledger.core.limits import LIMITS
from tests.support.masters import MovableClock

if TYPE_CHECKING:
    from pathlib import Path


def test_both_keys_count_until_the_last_token_is_over(tmp_path: Path) -> None:
    store, clock = KeyStore(tmp_path), MovableClock()
    files = TokenKeyFiles(store, clock)
    first = files.load_or_create()
    assert files.load_or_create() == first
    assert files.reload_if_changed() is None
    new, kept = rotate_token_key(store)
    assert kept
    both = files.reload_if_changed()
    assert both is not None
    assert (both.signer, both.public) == (new, (new.public, first.signer.public))
    assert files.reload_if_changed() is None
    clock.step = LIMITS.access_token_seconds
    assert files.reload_if_changed() is None
    clock.step += GRACE_SECONDS + 2
    alone = files.reload_if_changed()
    assert alone is not None
    assert alone.public == (new.public,)
    assert store.names() == ["token"]


def test_a_stolen_key_counts_no_more_at_once(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    TokenKeyFiles(store, MovableClock()).load_or_create()
    rotate_token_key(store)
    new, kept = rotate_token_key(store, at_once=True)
    assert (kept, former(store), store.load("token")) == (False, [], new)


def test_a_key_left_by_an_attempt_that_was_stopped_is_not_used(tmp_path: Path) -> None:
    store, clock = KeyStore(tmp_path), MovableClock()
    old = TokenKeyFiles(store, clock).load_or_create().signer
    left = store.create(NEXT)
    os.utime(store.path(NEXT), (1.0, 1.0))
    new, _ = rotate_token_key(store)
    assert new != left
    assert TokenKeyFiles(store, clock).load().public == (new.public, old.public)


def test_a_home_without_a_token_key_rotates_none(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        rotate_token_key(KeyStore(tmp_path))
