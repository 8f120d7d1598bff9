"""Receipts: their text, and what they prove."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import FormatError, ProofError, SignatureError
from ledger.core.keys import PrivateKey
from ledger.core.limits import LIMITS
from ledger.core.merkle import MAX_PROOF, Frontier, HashList, inclusion_proof, leaf_hashes
from ledger.core.note import LOG_KIND, Line, Note, VerifierKey, log_line
from ledger.core.receipt import MAX_RECEIPT, Receipt, ReceiptWriter, parse_receipt, verify_proof, verify_receipt
from ledger.core.trustfile import policy_of_keys

ORIGIN = "log.example/one"
LOG = PrivateKey(b"\x01" * 32)
POLICY = policy_of_keys([VerifierKey(ORIGIN, LOG_KIND, LOG.public)])
ENTRIES = [b"entry %d" % number for number in range(7)]


def receipt(index: int = 4) -> Receipt:
    frontier = Frontier()
    nodes = [one for _, one in frontier.append_many(leaf_hashes(ENTRIES))]
    text = Checkpoint(ORIGIN, 7, frontier.root()).text
    note = Note(text, (log_line(text, ORIGIN, LOG),)).encode()
    return Receipt(index, inclusion_proof(index, 7, HashList(nodes)), note, ENTRIES[index])


def test_receipt_is_a_tlog_proof() -> None:
    one = receipt()
    lines = one.encode().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", f"extra {base64.b64encode(b'entry 4').decode()}", "index 4"]
    assert [base64.b64decode(line) for line in lines[3:6]] == list(one.proof)
    assert "\n".join(lines[6:]).encode() == b"\n" + one.note
    assert parse_receipt(one.encode()) == one


def test_receipt_without_proof_lines_is_read() -> None:
    one = replace(receipt(), proof=())
    assert parse_receipt(one.encode()) == one


@pytest.mark.parametrize("size", [*range(1, 20), 64, 65])
def test_writer_writes_what_receipts_encode(size: int) -> None:
    entries = [b"entry %d" % number for number in range(size)]
    nodes = [one for _, one in Frontier().append_many(leaf_hashes(entries))]
    writer = ReceiptWriter(size, HashList(nodes), b"text\n\nline\n")
    for index, entry in enumerate(entries):
        proof = inclusion_proof(index, size, HashList(nodes))
        assert writer.write(index, entry) == Receipt(index, proof, b"text\n\nline\n", entry).encode()
    for index in (-1, size):
        with pytest.raises(ProofError):
            writer.write(index, b"")


def test_every_receipt_verifies() -> None:
    for index in range(7):
        tree = verify_receipt(receipt(index), POLICY)
        assert tree.checkpoint == verify_proof(receipt(index)) == receipt(index).checkpoint
        assert (tree.checkpoint.origin, tree.checkpoint.size) == (ORIGIN, 7)


def test_receipt_for_another_entry_or_place_is_refused() -> None:
    one = receipt()
    for wrong in (replace(one, entry=b"entry 5"), replace(one, index=5), replace(one, index=7), replace(one, proof=one.proof[1:])):
        with pytest.raises(ProofError):
            verify_receipt(wrong, POLICY)
        with pytest.raises(ProofError):
            verify_proof(wrong)


def test_receipt_of_a_log_that_is_not_trusted_is_refused() -> None:
    with pytest.raises(SignatureError):
        verify_receipt(receipt(), policy_of_keys([]))
    verify_proof(receipt())


TEXT = receipt().encode().decode()
EXTRA = TEXT.split("\n")[1]
HASH = TEXT.split("\n")[3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace(f"{EXTRA}\n", ""),
        TEXT.replace(EXTRA, "extra "),
        TEXT.replace(EXTRA, "extra"),
        TEXT.replace(EXTRA, EXTRA.rstrip("=")),
        TEXT.replace(EXTRA, EXTRA.replace("extra", "Extra")),
        TEXT.replace(EXTRA, EXTRA.replace(" ", "  ")),
        TEXT.replace(EXTRA, f"{EXTRA}\r"),
        TEXT.replace(EXTRA, "extra " + base64.b64encode(b"x" * (LIMITS.entry + 1)).decode()),
        TEXT.replace("index 4", "index 04"),
        TEXT.replace("index 4", "index -4"),
        TEXT.replace("index 4", "index"),
        TEXT.replace("index 4", "index \u0664"),
        TEXT.replace("index 4", "4"),
        TEXT.replace("index 4", "index 9223372036854775808"),
        TEXT.replace(HASH, HASH[4:]),
        TEXT.replace(HASH, f" {HASH}"),
        TEXT.replace(HASH, f"{HASH}\n" * MAX_PROOF + HASH),
        TEXT.replace("\n\n", "\n", 1),
        TEXT.replace("\n\n", "\n\n\n", 1),
        TEXT.rstrip("\n"),
        TEXT.partition("\n\n")[0],
        TEXT.partition("\n\n")[0] + "\n\n",
        TEXT.replace("\n7\n", "\n7\nextension\n"),
        "\ufeff" + TEXT,
        TEXT + "x" * MAX_RECEIPT,
    ],
)
def test_text_that_is_no_receipt_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_receipt(text.encode())


def test_receipt_of_the_largest_size_is_read() -> None:
    base = receipt()
    note = Note(base.note.decode().rpartition("\n\n")[0] + "\n", (Line("k", b"abcd", b""),))
    free = LIMITS.note - len(note.encode())
    longest = Note(note.text, (Line("k", b"abcd", b"x" * (free // 4 * 3)),)).encode()
    assert LIMITS.note - 4 <= len(longest) <= LIMITS.note
    one = Receipt(2**63 - 1, (b"h" * 32,) * MAX_PROOF, longest, b"e" * LIMITS.entry)
    assert MAX_RECEIPT - 64 < len(one.encode()) <= MAX_RECEIPT
    assert parse_receipt(one.encode()) == one


def test_size_of_a_receipt_is_checked_before_anything_else() -> None:
    with pytest.raises(FormatError, match=f"at most {MAX_RECEIPT} bytes"):
        parse_receipt(bytes(MAX_RECEIPT + 1))
    with pytest.raises(FormatError, match="begins with"):
        parse_receipt(bytes(MAX_RECEIPT))
