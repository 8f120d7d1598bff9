"""Receipts for a batch that was just committed: from memory for what is new in it, from the store for what stood already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ledger.core.backend import Placed
from ledger.core.errors import NotFoundError
from ledger.core.merkle import HashReader, peaks, stored_index
from ledger.core.receipt import ReceiptWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.merkle import Frontier
    from ledger.engine.admission import Request


class TreeReader(HashReader, Protocol):
    """Gives stored hashes, and entries."""

    def entry(self, index: int) -> bytes:
        """Return one entry. NotFoundError if it is not here."""
        ...


@dataclass(frozen=True, slots=True)
class NewNodes:
    """What a batch added to the tree, with the peaks it was added to: all that proofs for its own entries are made of.

    A sibling on such a path is either complete since this batch, or was the last of its level before: then it was a peak.
    """

    start: int
    entries: tuple[bytes, ...]
    nodes: dict[int, bytes]

    @classmethod
    def after(cls, before: Frontier, entries: Sequence[bytes], completed: Iterable[tuple[int, bytes]]) -> NewNodes:
        """Return what `entries` made of the tree `before`; `completed`: the nodes that they completed."""
        nodes = {stored_index(*node): one for node, one in zip(peaks(before.size), before.hashes, strict=True)}
        nodes.update(completed)
        return cls(before.size, tuple(entries), nodes)

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of a node. NotFoundError for one that no proof of these entries needs."""
        found = self.nodes.get(stored_index(level, index))
        if found is None:
            raise NotFoundError(f"tree node {index} of level {level} is not new", level=level, index=index)
        return found

    def entry(self, index: int) -> bytes:
        """Return one entry. NotFoundError if it is not of this batch."""
        if not 0 <= index - self.start < len(self.entries):
            raise NotFoundError(f"entry {index} is not new", index=index)
        return self.entries[index - self.start]

    def has_all(self, requests: Iterable[Request]) -> bool:
        """Tell whether everything that these requests want a receipt for is new."""
        return all(
            not isinstance(one, Placed) or one.index >= self.start for request in requests if request.receipts for one in request.outcomes
        )


def add_receipts(requests: Sequence[Request], size: int, note: bytes, tree: TreeReader) -> None:
    """Put a receipt under `note`, which signs the tree of `size`, into every outcome that wants one."""
    writer = ReceiptWriter(size, tree, note)
    for request in requests:
        if not request.receipts:
            continue
        for place, one in enumerate(request.outcomes):
            if isinstance(one, Placed):
                receipt = writer.write(one.index, tree.entry(one.index))
                request.outcomes[place] = Placed(one.index, one.digest, receipt)
