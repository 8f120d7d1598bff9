"""Bytes that come from a channel or a journal: records, headers of blocks, tickets; and whatever is none of them."""

from __future__ import annotations

import hashlib
import struct

import pytest

from blockchain_adapters.hyperledger.peer import PeerBlock
from blockchain_adapters.hyperledger.record import parse_record
from blockchain_adapters.hyperledger.ticket import Ticket, parse_ticket
from ledger.core.errors import CorruptError, FormatError

HEAD = struct.Struct(">BBQQ32sQ32s")


def record(*, form: int = 1, kind: int = 1, batch: bytes = b"batch", note: bytes = b"note") -> bytes:
    head = HEAD.pack(form, kind, 3, 7, bytes(range(32)), 2, bytes(32))
    msp = b"Org1MSP"
    return b"".join(
        (head, len(msp).to_bytes(2), msp, b"\xab" * 32, len(batch).to_bytes(4), batch, len(note).to_bytes(4), note)
    )  # chaincode/README.md, Record


def test_a_record_says_what_was_appended_and_by_whom() -> None:
    found = parse_record(record())
    assert (found.start, found.size, found.root, found.batch, found.note) == (3, 7, bytes(range(32)), b"batch", b"note")
    assert found.submitter == "Org1MSP:" + "ab" * 32


@pytest.mark.parametrize(
    "text", [b"", b"\x01", record(form=2), record(kind=2), record() + b"\0", *(record()[:cut] for cut in range(0, 148, 7))]
)
def test_what_is_no_record_is_named(text: bytes) -> None:
    with pytest.raises(FormatError):
        parse_record(text)


@pytest.mark.parametrize(
    ("number", "previous", "header"),
    [
        (0, b"", "302702010004000420" + "11" * 32),
        (127, b"\x22" * 32, "304702017f0420" + "22" * 32 + "0420" + "11" * 32),
        (128, b"\x22" * 32, "304802020080" + "0420" + "22" * 32 + "0420" + "11" * 32),
        (65_535, b"\x22" * 32, "30490203" + "00ffff" + "0420" + "22" * 32 + "0420" + "11" * 32),
        (1, b"\x22" * 200, "3081f0" + "020101" + "0481c8" + "22" * 200 + "0420" + "11" * 32),
    ],
)
def test_the_hash_of_a_block_is_over_its_header_in_der(number: int, previous: bytes, header: str) -> None:
    assert PeerBlock(number, previous, b"\x11" * 32, ()).hash == hashlib.sha256(bytes.fromhex(header)).digest()


def test_a_ticket_comes_back_and_forgets_what_stands_in_a_block() -> None:
    ticket = Ticket("ab" * 32, b"signed\nbytes")
    assert parse_ticket(ticket.draft().ticket) == ticket
    assert ticket.draft().place == "ab" * 32
    assert parse_ticket(ticket.standing(7).draft().ticket) == Ticket("ab" * 32, b"", 7)


@pytest.mark.parametrize("text", [b"", b"{}", b"{}\n", b'{"transaction":7,"block":null}\n', b'{"transaction":"ab","block":null}', b"[]\n"])
def test_what_is_no_ticket_is_named(text: bytes) -> None:
    with pytest.raises(CorruptError):
        parse_ticket(text)
