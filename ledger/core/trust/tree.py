"""Recomputes a whole tree that a source serves, to tell a split view from a bad source, and finds where it leaves our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError, NotFoundError
from ledger.core.limits import LIMITS
from ledger.core.merkle import Frontier, inclusion_proof, leaf_hash, peaks, stored_index
from ledger.core.receipt import Receipt
from ledger.core.trust.findings import Finding
from ledger.core.trust.good import parse_claim

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.trust.state import TrustState
    from ledger.core.trust.verdicts import FetchAll

WINDOW = LIMITS.page
LEVELS = 63


class _Fork:
    """The first place at which two trees differ: what stands there in each, and what the proof of theirs needs."""

    def __init__(self, index: int, entry: bytes, before: Frontier) -> None:
        self.index = index
        self.entry = entry
        self.ours: list[bytes] = []
        self.theirs: list[bytes] = []
        self._wanted = {stored_index(level, (index >> level) ^ 1) for level in range(LEVELS)}
        self._nodes = _complete(before)

    def take(self, ours: Sequence[bytes], theirs: bytes, nodes: Iterable[tuple[int, bytes]]) -> None:
        """Take one more leaf of theirs, ours at its place if there is one, and the nodes that theirs completed."""
        if len(self.theirs) < WINDOW:
            self.ours += ours
            self.theirs.append(theirs)
        self._nodes.update(node for node in nodes if node[0] in self._wanted)

    def read(self, level: int, index: int) -> bytes:
        """See `merkle.HashReader`."""
        node = self._nodes.get(stored_index(level, index))
        if node is None:
            raise NotFoundError(f"tree node {index} of level {level} is not here")
        return node

    def receipt(self, end: Frontier, note: bytes) -> bytes:
        """Return the receipt of their entry under their note, which signs the tree of `end`."""
        self._nodes.update(_complete(end))
        return Receipt(self.index, inclusion_proof(self.index, end.size, self), note, self.entry).encode()

    @property
    def difference(self) -> tuple[Finding, str]:
        """Say what was done there, as far as the leaves after it show."""
        ours, theirs = self.ours, self.theirs
        if theirs[0] in ours and ours[0] in theirs:
            return Finding.REORDERED_ENTRIES, f"from entry {self.index} on the entries stand in another order"
        if theirs[0] in ours[1:2]:
            return Finding.DROPPED_ENTRY, f"entry {self.index} is missing"
        if ours[0] in theirs[1:2]:
            return Finding.INSERTED_ENTRY, f"an entry was put in at {self.index}"
        return Finding.REWRITTEN_ENTRY, f"entry {self.index} is another one"


def _complete(tree: Frontier) -> dict[int, bytes]:
    """Return the peaks of a tree by their stored index."""
    places = (stored_index(level, index) for level, index in peaks(tree.size))
    return dict(zip(places, tree.hashes, strict=True))


class TreeCheck:
    """Takes the entries `0 … end-1` of a FetchAll in order, keeps only hashes. Mutable; one for one fetch."""

    def __init__(self, step: FetchAll, state: TrustState) -> None:
        """Start the check of one fetch for a replica in `state`."""
        self.ticket = step.ticket
        self.at = step.at
        self.own_receipt: bytes | None = None
        self._frontier = Frontier()
        self._wanted = {step.at, step.end, *(one.size for one in state.refused)}
        self._roots: dict[int, bytes] = {}
        self._missing = {one.digest for one in step.ticket.fetched}
        self._fork: _Fork | None = None

    def add(self, entries: Iterable[bytes], own: Sequence[bytes] = ()) -> None:
        """Take the next entries; `own` are the leaf hashes of the replica's at the same places, as far as it has them."""
        for number, entry in enumerate(entries):
            ours, leaf = own[number : number + 1], leaf_hash(entry)
            if self._fork is None and ours and ours[0] != leaf:
                self._fork = _Fork(self._frontier.size, entry, self._frontier)
            nodes = self._frontier.append(leaf)
            if self._fork is not None:
                self._fork.take(ours, leaf, nodes)
            if self._frontier.size in self._wanted:
                self._roots[self._frontier.size] = self._frontier.root()
            if self._missing:
                self._missing.discard(_digest(entry))

    def root_at(self, size: int) -> bytes | None:
        """Return the root at a size that matters here; None if the source did not serve that much."""
        return self._roots.get(size)

    @property
    def is_whole(self) -> bool:
        """Tell whether the entries make the tree of the note and hold every root that was fetched for it."""
        claim = parse_claim(self.ticket.note)
        return self._frontier.size == claim.size and self.root_at(claim.size) == claim.root and not self._missing

    @property
    def fork(self) -> int | None:
        """Return the first index at which the entries are not the replica's; None if none was seen."""
        return None if self._fork is None else self._fork.index

    @property
    def difference(self) -> str:
        """Say what stands at that index, for people; empty if none was seen."""
        return "" if self._fork is None else self._fork.difference[1]

    @property
    def finding(self) -> Finding:
        """Return the name of that difference."""
        return Finding.SECOND_TREE if self._fork is None else self._fork.difference[0]

    def receipts(self) -> tuple[bytes, ...]:
        """Return what stands at that index: in the replica's tree if `own_receipt` was set, and in theirs. Once `is_whole`."""
        if self._fork is None:
            return ()
        theirs = self._fork.receipt(self._frontier, self.ticket.note)
        return (theirs,) if self.own_receipt is None else (theirs, self.own_receipt)


def _digest(entry: bytes) -> str:
    try:
        return parse_envelope(entry).statement.digest
    except FormatError:
        return ""
