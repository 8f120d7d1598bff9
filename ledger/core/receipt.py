"""Receipts: one file that proves offline that an entry is logged (C2SP tlog-proof@v1, the entry in `extra`).

A receipt proves *logged at this index*. Whether the statement was accepted, and is still live, only a state can say.
Spec: https://c2sp.org/tlog-proof, FORMATS 10
"""

from __future__ import annotations

from base64 import b64encode
from binascii import b2a_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import FormatError, ProofError
from ledger.core.limits import LIMITS
from ledger.core.merkle import HASH_SIZE, MAX_PROOF, Siblings, leaf_hash, verify_inclusion
from ledger.core.note import parse_base64, parse_decimal, parse_note

if TYPE_CHECKING:
    from ledger.core.merkle import HashReader
    from ledger.core.trustfile import SignedTree, TrustPolicy

HEADER = "c2sp.org/tlog-proof@v1"
MEDIA_TYPE = "text/plain; charset=utf-8"
MAX_RECEIPT = 64 + 4 * (LIMITS.entry // 3 + 1) + 45 * MAX_PROOF + LIMITS.note

_FIXED_LINES = 3
_FIRST_LINE = HEADER.encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`entry` stands at `index` of the tree that `note` signs, shown by `proof`. Says nothing until verified."""

    index: int
    proof: tuple[bytes, ...]
    note: bytes
    entry: bytes

    def encode(self) -> bytes:
        """Return the text of the receipt."""
        lines = [HEADER, f"extra {b64encode(self.entry).decode()}", f"index {self.index}"]
        lines += [b64encode(one).decode() for one in self.proof]
        return b"".join(("\n".join(lines).encode(), b"\n\n", self.note))

    @property
    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint that the note signs, unverified. FormatError if there is none."""
        return parse_checkpoint(parse_note(self.note).text)


class ReceiptWriter:
    """Writes receipts of one tree of `size` under one note, each as `Receipt.encode` does. What they share is made once."""

    def __init__(self, size: int, reader: HashReader, note: bytes) -> None:
        self._size = size
        self._siblings = Siblings(size, reader)
        self._end = b"\n" + note
        self._above: dict[tuple[int, int], bytes] = {}

    def write(self, index: int, entry: bytes) -> bytes:
        """Return the receipt of the entry at `index`. ProofError when the tree has no such index."""
        if not 0 <= index < self._size:
            raise ProofError(f"a tree of size {self._size} has no entry {index}")
        extra = b2a_base64(entry)  # with its newline
        return b"%bextra %bindex %d\n%b%b" % (_FIRST_LINE, extra, index, self._path(0, index), self._end)

    def _path(self, level: int, index: int) -> bytes:
        """Return the lines of the proof from node `(level, index)` up."""
        key = (level, index)
        found = self._above.get(key)
        if found is None:
            last = (self._size - 1) >> level
            own = b2a_base64(self._siblings.hash(level, index ^ 1)) if index ^ 1 <= last else b""
            found = self._above[key] = own + self._path(level + 1, index >> 1) if last else b""
        return found


def parse_receipt(raw: bytes) -> Receipt:
    """Return the receipt in `raw`. FormatError unless it holds an entry and a checkpoint, and `encode` gives `raw` back."""
    if len(raw) > MAX_RECEIPT:
        raise FormatError(f"a receipt has at most {MAX_RECEIPT} bytes")
    head, _, note = raw.partition(b"\n\n")
    if not head.isascii():
        raise FormatError("a receipt is ASCII up to its note")
    lines = head.decode("ascii").split("\n")
    if len(lines) < _FIXED_LINES or lines[0] != HEADER:
        raise FormatError(f"a receipt begins with {HEADER}, the entry and its index")
    if len(lines) > _FIXED_LINES + MAX_PROOF:
        raise FormatError(f"a proof has at most {MAX_PROOF} hashes")
    entry = parse_base64(_value(lines[1], "extra "))
    if not 0 < len(entry) <= LIMITS.entry:
        raise FormatError(f"an entry has 1 to {LIMITS.entry} bytes")
    proof = tuple(_parse_hash(line) for line in lines[_FIXED_LINES:])
    receipt = Receipt(parse_decimal(_value(lines[2], "index ")), proof, note, entry)
    _ = receipt.checkpoint
    return receipt


def _value(line: str, name: str) -> str:
    if not line.startswith(name):
        raise FormatError(f"here a receipt has its line `{name.strip()}`")
    return line.removeprefix(name)


def _parse_hash(line: str) -> bytes:
    raw = parse_base64(line)
    if len(raw) != HASH_SIZE:
        raise FormatError(f"a hash has {HASH_SIZE} bytes")
    return raw


def verify_proof(receipt: Receipt) -> Checkpoint:
    """Return the checkpoint under which the entry is proven, whoever signed it. FormatError or ProofError otherwise."""
    checkpoint = receipt.checkpoint
    verify_inclusion(leaf_hash(receipt.entry), receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return checkpoint


def verify_receipt(receipt: Receipt, policy: TrustPolicy) -> SignedTree:
    """Return the signed tree that holds the entry at its index. FormatError, SignatureError or ProofError otherwise."""
    tree = policy.verify_note(parse_note(receipt.note))
    verify_proof(receipt)
    return tree
