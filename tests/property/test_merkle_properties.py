"""Trees of any size: frontier, stored nodes, tiles and proofs agree, and a changed proof proves nothing."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.core.errors import NotFoundError, ProofError
from ledger.core.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    HashList,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hashes,
    node_count,
    node_hash,
    stored_index,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.core.tiles import TilePath, tile_hashes

MOST = 700
LEAVES = leaf_hashes([b"%d" % number for number in range(MOST)])
TREE = HashList([one for _, one in Frontier().append_many(LEAVES)])
SIZES = st.integers(1, MOST)


@cache
def definition(start: int, end: int) -> bytes:
    """RFC 6962's MTH(D[start:end])."""
    if end - start < 2:
        return LEAVES[start] if end > start else EMPTY_ROOT
    half = 1 << (end - start - 1).bit_length() - 1
    return node_hash(definition(start, start + half), definition(start + half, end))


@given(SIZES)
def test_root_of_any_size_is_that_of_the_definition(size: int) -> None:
    assert tree_root(size, TREE) == definition(0, size)


@given(st.integers(0, 60), st.integers(0, 2**40))
def test_stored_index_is_dense_and_grows_with_completion(level: int, index: int) -> None:
    place = stored_index(level, index)
    leaves = (index + 1) << level
    assert node_count(leaves - 1) <= place < node_count(leaves)
    if level:
        assert place == stored_index(level - 1, 2 * index + 1) + 1


@given(SIZES, st.data())
def test_inclusion_is_proven_and_no_change_survives(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(index, size, TREE), definition(0, size)
    verify_inclusion(LEAVES[index], index, size, proof, root)
    other = data.draw(st.integers(0, MAX_SIZE))
    assume(other != index)
    with pytest.raises(ProofError):
        verify_inclusion(LEAVES[index], other, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = (*proof[:at], sha256(proof[at]).digest(), *proof[at + 1 :])
        with pytest.raises(ProofError):
            verify_inclusion(LEAVES[index], index, size, changed, root)


@given(SIZES, st.data())
def test_batch_of_proofs_equals_single_proofs(size: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, size - 1), max_size=8))
    assert inclusion_proofs(indices, size, TREE) == [inclusion_proof(index, size, TREE) for index in indices]


@given(SIZES, SIZES, st.data())
def test_consistency_is_proven_and_no_change_survives(one: int, other: int, data: st.DataObject) -> None:
    old, new = sorted((one, other))
    proof, roots = consistency_proof(old, new, TREE), (definition(0, old), definition(0, new))
    verify_consistency(old, new, roots, proof)
    wrong = data.draw(SIZES)
    if wrong not in {old, new}:
        for sizes in ((wrong, new), (old, wrong)):
            with pytest.raises(ProofError):
                verify_consistency(*sizes, (definition(0, sizes[0]), definition(0, sizes[1])), (*proof, EMPTY_ROOT))
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = (*proof[:at], sha256(proof[at]).digest(), *proof[at + 1 :])
        with pytest.raises(ProofError):
            verify_consistency(old, new, roots, changed)


@given(st.integers(), st.integers(), st.binary(max_size=40), st.lists(st.binary(max_size=40) | st.just(bytes(32)), max_size=70))
def test_any_proof_is_refused_by_a_proof_error(index: int, size: int, root: bytes, proof: list[bytes]) -> None:
    leaf = bytes(31) + b"\x01"
    assume(root != leaf)
    with pytest.raises(ProofError):
        verify_inclusion(leaf, index, size, proof, root)
    with pytest.raises(ProofError):
        verify_consistency(index, size, (leaf, root), proof)


@given(st.integers(0, 2), st.integers(0, 3), st.integers(1, 256), SIZES)
def test_tile_holds_the_hashes_of_the_specification(level: int, index: int, width: int, size: int) -> None:
    path = TilePath(level, index, width)
    if path.end > size >> (8 * level):
        with pytest.raises(NotFoundError):
            tile_hashes(TREE, path, size)
        return
    span = 256**level
    expected = [definition((index * 256 + at) * span, (index * 256 + at + 1) * span) for at in range(width)]
    assert tile_hashes(TREE, path, size) == b"".join(expected)


class Growth(RuleBasedStateMachine):
    """A store that grows by batches, restarts and trials: its rows, its frontier and its root never part."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[bytes] = []
        self.frontier = Frontier()

    @rule(count=st.integers(0, 40))
    def append(self, count: int) -> None:
        batch = LEAVES[self.frontier.size : self.frontier.size + count]
        for place, one in self.frontier.append_many(batch):
            assert place == len(self.rows)
            self.rows.append(one)

    @rule(count=st.integers(0, 40))
    def try_and_give_up(self, count: int) -> None:
        self.frontier.copy().append_many(LEAVES[:count])

    @rule()
    def restart(self) -> None:
        self.frontier = Frontier.load(self.frontier.size, HashList(self.rows))

    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(0, self.frontier.size))
        del self.rows[node_count(size) :]
        self.frontier = Frontier.load(size, HashList(self.rows))

    @invariant()
    def rows_and_root_are_those_of_the_size(self) -> None:
        size = self.frontier.size
        assert len(self.rows) == node_count(size)
        assert self.frontier.root() == tree_root(size, HashList(self.rows)) == definition(0, size)


TestGrowth = Growth.TestCase
