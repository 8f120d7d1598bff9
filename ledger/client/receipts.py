"""Receipts against the roots that this home has verified: who may have signed the tree, at that size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.client.answers import Verified, value_of
from ledger.client.authoring import parse_draft
from ledger.core.canonical import encode
from ledger.core.envelope import parse_envelope
from ledger.core.errors import ProofError, SignatureError
from ledger.core.note import LOG_KIND, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.core.trust.good import judge_good
from ledger.core.trustfile import policy_of_keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.backend import Placed
    from ledger.core.canonical import JSON
    from ledger.core.checkpoint import Checkpoint
    from ledger.core.envelope import Envelope
    from ledger.core.trust.roots import PlacedRoot
    from ledger.engine.snapshot import Snapshot

KEPT = 256


class ReceiptJudge:
    """Judges notes by `roots` (of the verified log), or by pinned vkeys in a home that has no log yet."""

    def __init__(self, roots: Sequence[PlacedRoot] = (), vkeys: Sequence[str] = ()) -> None:
        self._roots = list(roots)
        self._vkeys = tuple(vkeys)
        self._good: dict[bytes, Checkpoint] = {}

    def learn(self, roots: Sequence[PlacedRoot]) -> None:
        """Judge by these roots from now on."""
        self._roots = list(roots)
        self._good.clear()

    def check(self, placed: Placed, envelope: Envelope) -> None:
        """Raise ProofError or SignatureError unless the receipt shows this entry in a tree that the log signed.

        A chain position is no receipt; it is judged by whoever follows the chain.
        """
        if placed.receipt is None:
            if placed.position is None:
                raise ProofError("the ledger answered with neither a receipt nor a position")
            return
        receipt = parse_receipt(placed.receipt)
        if receipt.entry != envelope.entry and parse_envelope(receipt.entry).statement.digest != envelope.statement.digest:
            raise ProofError("the receipt is of another statement")
        if receipt.index != placed.index:
            raise ProofError(f"the receipt is of index {receipt.index}, the answer says {placed.index}")
        self._judge(receipt.note)
        verify_proof(receipt)

    def _judge(self, note: bytes) -> Checkpoint:
        known = self._good.get(note)
        if known is not None:
            return known
        if self._roots:
            checkpoint = judge_good(note, self._roots).checkpoint
        elif self._vkeys:
            logs = [key for key in map(parse_vkey, self._vkeys) if key.kind == LOG_KIND]
            checkpoint = policy_of_keys(logs).verify_note(parse_note(note)).checkpoint
        else:
            raise SignatureError("this home has pinned no log key", advice="Join the network, or sync first.")
        if len(self._good) >= KEPT:
            self._good.clear()
        self._good[note] = checkpoint
        return checkpoint

    def verify(self, raw: bytes, *, policy: JSON | None = None) -> Verified:
        """Return what a receipt proves; with `policy`, also that it is of this policy: kind, id and body.

        Raises FormatError, SignatureError, ProofError or BadSourceError.
        """
        receipt = parse_receipt(raw)
        checkpoint = self._judge(receipt.note)
        verify_proof(receipt)
        statement = parse_envelope(receipt.entry).statement
        compared = "not compared"
        if policy is not None:
            draft = parse_draft(policy)
            same = (draft.kind, draft.policy_id) == (statement.kind, statement.id)
            if not same or statement.op != "put" or not _same_body(policy, draft.body, statement.body):
                raise ProofError(f"the receipt is of another policy: {statement.op} {statement.kind} {statement.id}")
            compared = "the same"
        return Verified(
            receipt.index,
            checkpoint.size,
            checkpoint.origin,
            statement.digest,
            statement.kind,
            statement.id,
            statement.by,
            statement.iat,
            compared,
        )


def stored_receipt(snapshot: Snapshot, digest: str) -> bytes | None:
    """Return the receipt that a verified copy can make by itself, None when it lacks the entry or the signed note of its size."""
    index, size = snapshot.find(digest), snapshot.head().size
    note = snapshot.checkpoint(size)
    return None if index is None or note is None else snapshot.receipt(index, size, note)


def _same_body(policy: JSON, drafted: dict[str, JSON], signed: dict[str, JSON] | None) -> bool:
    """Compare a policy as written or as shown with the body signed: a shown one has a `date` that its author may not have given."""
    if signed is None:
        return False
    if encode(drafted) == encode(signed):
        return True
    content = value_of(policy) if isinstance(policy, dict) else None
    shown = isinstance(content, dict) and "ledger" in content and "date" not in signed
    return shown and encode({name: value for name, value in drafted.items() if name != "date"}) == encode(signed)
