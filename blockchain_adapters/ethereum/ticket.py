"""What is written down of a transaction before it leaves: enough to send the very same again, to find it, and to pay more for it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from blockchain_adapters.ethereum.fees import Fees
from ledger.core.errors import CorruptError
from ledger.engine.submissions import Draft

_END = b"\n"


@dataclass(frozen=True, slots=True)
class Offer:
    """One signed form of a transaction: its hash, what it offers, and when it was made (seconds since 1970)."""

    hash: str
    fees: Fees
    made: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a transaction stands, and what it cost: gas, and wei per gas."""

    transaction: str
    block: int
    block_hash: str
    gas: int
    price: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """A transaction of one nonce in all the forms that were offered, oldest first. Any of them may be the one that is mined."""

    nonce: int
    gas: int
    call: bytes
    offers: tuple[Offer, ...]
    expected: int | None = None
    receipt: Receipt | None = None

    @property
    def newest(self) -> Offer:
        """Return the form that replaces the others."""
        return self.offers[-1]

    def offering(self, offer: Offer) -> Ticket:
        """Return the ticket with one more form."""
        return replace(self, offers=(*self.offers, offer))

    def standing(self, receipt: Receipt) -> Ticket:
        """Return the ticket with the place where it was mined."""
        return replace(self, receipt=receipt)

    def draft(self) -> Draft:
        """Return what the journal keeps."""
        place = self.newest.hash if self.receipt is None else self.receipt.transaction
        offers = [[one.hash, one.fees.fee, one.fees.tip, one.made] for one in self.offers]
        found = self.receipt
        receipt = None if found is None else [found.transaction, found.block, found.block_hash, found.gas, found.price]
        facts = {"nonce": self.nonce, "gas": self.gas, "expected": self.expected, "offers": offers, "receipt": receipt}
        return Draft(place, json.dumps(facts).encode() + _END + self.call)


def parse_ticket(text: bytes) -> Ticket:
    """Return the ticket that the journal kept. CorruptError when it is none."""
    head, end, call = text.partition(_END)
    try:
        facts: dict[str, Any] = json.loads(head)
        offers = tuple(Offer(name, Fees(fee, tip), made) for name, fee, tip, made in facts["offers"])
        receipt = None if facts["receipt"] is None else Receipt(*facts["receipt"])
        ticket = Ticket(facts["nonce"], facts["gas"], call, offers, facts["expected"], receipt)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError("the journal holds a transaction that nobody wrote there") from error
    if not end or not offers:
        raise CorruptError("the journal holds a transaction that nobody wrote there")
    return ticket
