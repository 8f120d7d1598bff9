"""Recomputes a whole tree that a source serves, to tell a split view from a bad source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError
from ledger.core.merkle import Frontier, leaf_hash
from ledger.core.trust.good import parse_claim

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.trust.state import TrustState
    from ledger.core.trust.verdicts import FetchAll


class TreeCheck:
    """Takes the entries `0 … end-1` of a FetchAll in order, keeps only hashes. Mutable; one for one fetch."""

    def __init__(self, step: FetchAll, state: TrustState) -> None:
        """Start the check of one fetch for a replica in `state`."""
        self.ticket = step.ticket
        self.at = step.at
        self._frontier = Frontier()
        self._wanted = {step.at, step.end, *(one.size for one in state.refused)}
        self._roots: dict[int, bytes] = {}
        self._missing = {one.digest for one in step.ticket.fetched}

    def add(self, entries: Iterable[bytes]) -> None:
        """Take the next entries."""
        for entry in entries:
            self._frontier.append(leaf_hash(entry))
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


def _digest(entry: bytes) -> str:
    try:
        return parse_envelope(entry).statement.digest
    except FormatError:
        return ""
