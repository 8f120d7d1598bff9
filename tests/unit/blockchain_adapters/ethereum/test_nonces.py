"""Nonces: no gap, no collision with what is under way."""

from __future__ import annotations

from blockchain_adapters.ethereum.nonces import Nonces


def test_nonces_follow_the_node_and_what_is_under_way() -> None:
    nonces = Nonces()
    assert [nonces.take(7), nonces.take(7), nonces.take(8)] == [7, 8, 9]
    assert nonces.take(12) == 12  # somebody else used the account
    assert [nonces.holds(one) for one in (6, 7, 12)] == [False, True, True]


def test_a_node_that_lost_our_transactions_does_not_make_us_reuse_their_nonces() -> None:
    nonces = Nonces()
    nonces.resume([5, 6])
    assert nonces.take(3) == 7


def test_what_never_left_gives_its_nonce_back() -> None:
    nonces = Nonces()
    nonces.settle(nonces.take(4))
    assert nonces.take(4) == 4
    nonces.settle(4)
    nonces.settle(4)
    assert not nonces.holds(4)
