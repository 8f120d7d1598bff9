"""What is written down of a transaction before it leaves: its id, and what the peers have signed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ledger.core.errors import CorruptError
from ledger.engine.submissions import Draft

_END = b"\n"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A transaction. `signed` is sent, for the first time or again; of one that stands in `block` it is needed no more."""

    transaction: str
    signed: bytes = b""
    block: int | None = None

    def standing(self, block: int) -> Ticket:
        """Return the ticket of the transaction in its block."""
        return Ticket(self.transaction, b"", block)

    def draft(self) -> Draft:
        """Return what the journal keeps."""
        facts = {"transaction": self.transaction, "block": self.block}
        return Draft(self.transaction, json.dumps(facts).encode() + _END + self.signed)


def parse_ticket(text: bytes) -> Ticket:
    """Return the ticket that the journal kept. CorruptError when it is none."""
    head, end, signed = text.partition(_END)
    try:
        facts: dict[str, Any] = json.loads(head)
        ticket = Ticket(facts["transaction"], signed, facts["block"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError("the journal holds a transaction that nobody wrote there") from error
    if not end or not isinstance(ticket.transaction, str):
        raise CorruptError("the journal holds a transaction that nobody wrote there")
    return ticket


__all__ = ["Ticket", "parse_ticket"]
