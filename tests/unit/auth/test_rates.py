"""A key buys so many tokens a minute and no more, and no key costs another anything."""

from __future__ import annotations

import pytest

from auth.rates import Rates
from ledger.core.errors import BusyError
from tests.support.masters import MovableClock


class Steps(MovableClock):
    """A clock whose monotonic time stands still but for a test's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.tick = 0.0

    def monotonic(self) -> float:
        return self.tick


def test_a_key_has_its_share_and_gets_it_back_steadily() -> None:
    clock = Steps()
    rates = Rates(clock)
    for _ in range(20):
        rates.take("a", 20)
    with pytest.raises(BusyError) as refused:
        rates.take("a", 20)
    assert refused.value.context["retry_after"] == pytest.approx(3.0)
    rates.take("b", 20)
    clock.tick += 2.9
    with pytest.raises(BusyError):
        rates.take("a", 20)
    clock.tick += 0.1
    rates.take("a", 20)
    clock.tick += 3600
    for _ in range(20):
        rates.take("a", 20)
    with pytest.raises(BusyError):
        rates.take("a", 20)


def test_memory_is_bounded() -> None:
    rates = Rates(Steps(), capacity=3)
    for number in range(10):
        rates.take(str(number), 1)
    assert len(rates._spent) == 3
    rates.take("0", 1)  # forgotten long ago: a full bucket again
    with pytest.raises(BusyError):
        rates.take("9", 1)
