"""Receipts from memory: what a batch added and the peaks before it are all that the proofs of its entries need."""

from __future__ import annotations

import pytest

from ledger.core.errors import NotFoundError
from ledger.core.merkle import Frontier, HashList, inclusion_proofs, leaf_hashes
from ledger.engine.receipts import NewNodes

MOST = 40
ENTRIES = [b"entry %d" % number for number in range(MOST)]


@pytest.mark.parametrize("start", range(MOST))
def test_new_nodes_prove_every_new_entry(start: int) -> None:
    whole = HashList([one for _, one in Frontier().append_many(leaf_hashes(ENTRIES))])
    before = Frontier()
    before.append_many(leaf_hashes(ENTRIES[:start]))
    for size in range(start + 1, MOST + 1):
        after = before.copy()
        new = NewNodes.after(before, ENTRIES[start:size], after.append_many(leaf_hashes(ENTRIES[start:size])))
        indices = range(start, size)
        assert inclusion_proofs(indices, size, new) == inclusion_proofs(indices, size, whole)
        assert [new.entry(index) for index in indices] == ENTRIES[start:size]
        for other in (start - 1, size):
            with pytest.raises(NotFoundError):
                new.entry(other)


def test_nodes_that_no_new_proof_needs_are_not_there() -> None:
    before = Frontier()
    before.append_many(leaf_hashes(ENTRIES[:4]))
    new = NewNodes.after(before, ENTRIES[4:5], before.copy().append_many(leaf_hashes(ENTRIES[4:5])))
    with pytest.raises(NotFoundError):
        new.read(0, 0)
