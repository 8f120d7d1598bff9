"""What a transaction offers for its gas (EIP-1559), within the operator's caps. Amounts are wei per gas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.core.errors import UnavailableError

GWEI: Final = 10**9


class FeeCapError(UnavailableError):
    """The chain asks for more than the operator allows."""

    advice = "Wait until the chain is cheaper, or raise the cap."


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that is ever offered."""

    fee: int = 100 * GWEI
    tip: int = 5 * GWEI


@dataclass(frozen=True, slots=True)
class Fees:
    """maxFeePerGas and maxPriorityFeePerGas."""

    fee: int
    tip: int


def fresh(base_fee: int, suggested_tip: int, caps: Caps) -> Fees:
    """Return what a new transaction offers: twice the base fee, which lasts for five full blocks in a row, and the tip.

    FeeCapError when the cap is below the base fee.
    """
    tip = min(suggested_tip, caps.tip)
    fee = min(2 * base_fee + tip, caps.fee)
    if fee < base_fee:
        raise FeeCapError(f"the chain asks for {_gwei(base_fee)} a gas; the cap is {_gwei(caps.fee)}")
    return Fees(fee, min(tip, fee))


def bumped(before: Fees, base_fee: int, suggested_tip: int, caps: Caps) -> Fees:
    """Return what replaces a transaction that does not move: both amounts at least 12.5 % higher, or pools refuse it.

    FeeCapError when a cap stands in the way.
    """
    tip = max(_eighth_more(before.tip), min(suggested_tip, caps.tip))
    fee = max(_eighth_more(before.fee), min(2 * base_fee + tip, caps.fee), tip)
    if fee > caps.fee or tip > caps.tip:
        raise FeeCapError(f"replacing a transaction asks for {_gwei(fee)} a gas, {_gwei(tip)} of it as tip: that is above the caps")
    if fee < base_fee:
        raise FeeCapError(f"the chain asks for {_gwei(base_fee)} a gas; the cap is {_gwei(caps.fee)}")
    return Fees(fee, tip)


def _eighth_more(amount: int) -> int:
    return max(amount + 1, -(-amount * 9 // 8))


def _gwei(amount: int) -> str:
    return f"{amount / GWEI:.3g} gwei"
