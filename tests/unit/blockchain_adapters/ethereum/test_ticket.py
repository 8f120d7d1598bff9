"""Tickets: what the journal keeps of a transaction comes back whole."""

from __future__ import annotations

import pytest

from blockchain_adapters.ethereum.fees import Fees
from blockchain_adapters.ethereum.ticket import Offer, Receipt, Ticket, parse_ticket
from ledger.core.errors import CorruptError

OFFER = Offer("0x" + "ab" * 32, Fees(22, 2), 1_795_000_000.5)


@pytest.mark.parametrize("call", [b"", b"\n\n", bytes(range(256))])
def test_a_ticket_comes_back(call: bytes) -> None:
    ticket = Ticket(7, 100_000, call, (OFFER,), expected=3)
    assert parse_ticket(ticket.draft().ticket) == ticket
    assert ticket.draft().place == OFFER.hash
    more = ticket.offering(Offer("0x" + "cd" * 32, Fees(2**70, 3), 2.0))
    assert parse_ticket(more.draft().ticket) == more
    assert more.draft().place == "0x" + "cd" * 32
    standing = more.standing(Receipt(OFFER.hash, 12, "0x" + "ef" * 32, 90_000, 10**10))
    assert parse_ticket(standing.draft().ticket) == standing
    assert standing.draft().place == OFFER.hash  # the form that was mined, whichever it was


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[]", b'{"nonce":1,"gas":2,"expected":null,"offers":[],"receipt":null}\n', b"\xff\n"])
def test_what_nobody_wrote_is_said_to_be_damaged(text: bytes) -> None:
    with pytest.raises(CorruptError):
        parse_ticket(text)
