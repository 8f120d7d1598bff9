"""Fees: enough to be mined, never above the caps, an eighth more for a replacement."""

from __future__ import annotations

import pytest

from blockchain_adapters.ethereum.fees import GWEI, Caps, FeeCapError, Fees, bumped, fresh

CAPS = Caps(fee=100 * GWEI, tip=5 * GWEI)


@pytest.mark.parametrize(
    ("base", "tip", "offer"),
    [
        (10 * GWEI, 2 * GWEI, Fees(22 * GWEI, 2 * GWEI)),
        (10 * GWEI, 9 * GWEI, Fees(25 * GWEI, 5 * GWEI)),  # the tip is capped
        (80 * GWEI, 2 * GWEI, Fees(100 * GWEI, 2 * GWEI)),  # the fee is capped, and still enough for now
        (100 * GWEI, 0, Fees(100 * GWEI, 0)),
        (0, 0, Fees(0, 0)),  # a private chain that asks for nothing
    ],
)
def test_a_new_transaction_offers_twice_the_base_fee(base: int, tip: int, offer: Fees) -> None:
    assert fresh(base, tip, CAPS) == offer


def test_above_the_cap_nothing_is_offered() -> None:
    with pytest.raises(FeeCapError, match=r"101 gwei a gas; the cap is 100 gwei"):
        fresh(101 * GWEI, 0, CAPS)


def test_the_tip_is_never_above_the_fee() -> None:
    assert fresh(0, 5 * GWEI, Caps(fee=GWEI, tip=5 * GWEI)) == Fees(GWEI, GWEI)


@pytest.mark.parametrize("before", [Fees(22 * GWEI, 2 * GWEI), Fees(1, 1), Fees(0, 0), Fees(17, 3), Fees(80 * GWEI, 4 * GWEI)])
def test_a_replacement_offers_an_eighth_more_of_both(before: Fees) -> None:
    after = bumped(before, 0, 0, CAPS)
    assert after.fee * 8 >= before.fee * 9
    assert after.tip * 8 >= before.tip * 9
    assert after.fee > before.fee
    assert after.tip > before.tip
    assert after.tip <= after.fee


def test_a_replacement_follows_the_base_fee() -> None:
    assert bumped(Fees(22 * GWEI, 2 * GWEI), 40 * GWEI, GWEI, CAPS).fee == 80 * GWEI + 9 * GWEI // 4


@pytest.mark.parametrize(("before", "base"), [(Fees(90 * GWEI, GWEI), 0), (Fees(GWEI, 49 * GWEI // 10), 0), (Fees(GWEI, GWEI), 101 * GWEI)])
def test_a_replacement_above_the_caps_is_not_made(before: Fees, base: int) -> None:
    with pytest.raises(FeeCapError):
        bumped(before, base, 0, CAPS)
