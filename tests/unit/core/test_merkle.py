"""The tree: numbering, frontier, roots, proofs and their refusal."""

from __future__ import annotations

import pytest

from ledger.core.errors import NotFoundError, ProofError
from ledger.core.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    Frontier,
    HashList,
    consistency_proof,
    inclusion_proof,
    inclusion_proofs,
    leaf_hash,
    leaf_hashes,
    node_count,
    node_hash,
    peaks,
    stored_index,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

LEAVES = leaf_hashes([b"%d" % number for number in range(21)])


def stored(size: int) -> HashList:
    return HashList([one for _, one in Frontier().append_many(LEAVES[:size])])


def definition(leaves: list[bytes]) -> bytes:
    """RFC 6962's MTH, of leaf hashes."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(definition(leaves[:half]), definition(leaves[half:]))


class CountingReader:
    def __init__(self, inner: HashList) -> None:
        self.inner = inner
        self.reads: list[tuple[int, int]] = []

    def read(self, level: int, index: int) -> bytes:
        self.reads.append((level, index))
        return self.inner.read(level, index)


def test_leaf_and_node_hashes_are_domain_separated() -> None:
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hashes([b"", b"x"]) == [leaf_hash(b""), leaf_hash(b"x")]
    assert node_hash(leaf_hash(b""), leaf_hash(b"\x00")).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


def test_stored_index_counts_nodes_in_the_order_of_completion() -> None:
    places = []
    for leaf in range(64):
        places.append(stored_index(0, leaf))
        level, index = 0, leaf
        while index & 1:
            level, index = level + 1, index >> 1
            places.append(stored_index(level, index))
        assert node_count(leaf + 1) == len(places)
    assert places == list(range(len(places)))


def test_peaks_cover_the_leaves_left_to_right() -> None:
    assert list(peaks(0)) == []
    assert list(peaks(7)) == [(2, 0), (1, 2), (0, 6)]
    assert list(peaks(7, 4)) == [(1, 2), (0, 6)]


def test_append_gives_new_nodes_without_gaps_and_the_root_of_the_definition() -> None:
    frontier, nodes = Frontier(), list[bytes]()
    assert frontier.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, 1):
        added = frontier.append(leaf)
        assert [place for place, _ in added] == list(range(len(nodes), node_count(size)))
        nodes += [one for _, one in added]
        assert frontier.size == size
        assert frontier.root() == definition(LEAVES[:size]) == tree_root(size, HashList(nodes))


def test_append_many_equals_append_one_by_one() -> None:
    for start in range(8):
        one, many = Frontier.load(start, stored(21)), Frontier.load(start, stored(21))
        singles = [node for leaf in LEAVES[start:] for node in one.append(leaf)]
        assert many.append_many(LEAVES[start:]) == singles
        assert many.root() == one.root() == definition(LEAVES)


def test_frontier_is_rebuilt_from_its_hashes_and_copies_grow_alone() -> None:
    frontier = Frontier.load(11, stored(11))
    twin, copy = Frontier(11, frontier.hashes), frontier.copy()
    copy.append(LEAVES[11])
    assert (twin.size, twin.root()) == (frontier.size, frontier.root()) == (11, definition(LEAVES[:11]))
    assert copy.root() == definition(LEAVES[:12])


def test_append_that_fails_leaves_the_frontier_as_it_was() -> None:
    frontier = Frontier.load(3, stored(3))
    with pytest.raises(TypeError):
        frontier.append_many([LEAVES[3], LEAVES[4], None])  # type: ignore[list-item]  # what a caller must not give
    assert (frontier.size, frontier.root()) == (3, definition(LEAVES[:3]))


def test_frontier_with_a_wrong_number_of_peaks_is_refused() -> None:
    with pytest.raises(ProofError, match="a tree of size 3 has 2 peaks, not 1"):
        Frontier(3, [LEAVES[0]])


def test_node_beyond_the_list_is_not_found() -> None:
    nodes = stored(5)
    assert nodes.read(2, 0) == definition(LEAVES[:4])
    with pytest.raises(NotFoundError, match="node 1 of level 1"):
        stored(3).read(1, 1)
    assert HashList().nodes == []


@pytest.mark.parametrize("size", range(1, 22))
def test_every_inclusion_proof_verifies_and_no_other_does(size: int) -> None:
    nodes, root = stored(size), definition(LEAVES[:size])
    for index in range(size):
        proof = inclusion_proof(index, size, nodes)
        verify_inclusion(LEAVES[index], index, size, proof, root)
        for other in {*range(size)} - {index}:
            with pytest.raises(ProofError):
                verify_inclusion(LEAVES[index], other, size, proof, root)


def test_proofs_of_older_trees_come_from_the_same_nodes() -> None:
    nodes = stored(21)
    assert inclusion_proof(4, 6, nodes) == inclusion_proof(4, 6, stored(6))
    verify_inclusion(LEAVES[4], 4, 6, inclusion_proof(4, 6, nodes), definition(LEAVES[:6]))


def test_batch_of_proofs_reads_each_node_once() -> None:
    reader = CountingReader(stored(21))
    proofs = inclusion_proofs(range(16, 21), 21, reader)
    assert len(reader.reads) <= 5 + 4 + 3 + 2  # each complete node below index 16 to 20, and what bags the ragged edge
    assert proofs == [inclusion_proof(index, 21, stored(21)) for index in range(16, 21)]


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (0, -1), (0, MAX_SIZE + 1)])
def test_index_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofError, match="has no entry"):
        inclusion_proof(index, size, stored(3))
    with pytest.raises(ProofError, match="has no entry"):
        verify_inclusion(LEAVES[0], index, size, (), LEAVES[0])


def test_inclusion_proof_of_wrong_length_is_refused() -> None:
    proof, root = inclusion_proof(2, 7, stored(7)), definition(LEAVES[:7])
    with pytest.raises(ProofError, match="too short"):
        verify_inclusion(LEAVES[2], 2, 7, proof[:-1], root)
    with pytest.raises(ProofError, match="too long"):
        verify_inclusion(LEAVES[2], 2, 7, (*proof, LEAVES[0]), root)
    with pytest.raises(ProofError, match="at most 64"):
        verify_inclusion(LEAVES[2], 2, 7, LEAVES[:1] * 65, root)
    with pytest.raises(ProofError, match="too long"):
        verify_inclusion(LEAVES[2], 2, 7, LEAVES[:1] * 64, root)
    with pytest.raises(ProofError, match="32 bytes"):
        verify_inclusion(LEAVES[2], 2, 7, (proof[0][1:], *proof[1:]), root)


def test_every_consistency_proof_verifies_and_no_other_old_tree_does() -> None:
    nodes = stored(21)
    roots = {size: definition(LEAVES[:size]) for size in range(1, 22)}
    for new in range(1, 22):
        for old in range(1, new + 1):
            proof = consistency_proof(old, new, nodes)
            verify_consistency(old, new, (roots[old], roots[new]), proof)
            with pytest.raises(ProofError):
                verify_consistency(old, new, (roots[old % new + 1] if new > 1 else EMPTY_ROOT, roots[new]), proof)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 3), (3, 2), (-1, 3), (1, MAX_SIZE + 1)])
def test_sizes_that_cannot_be_consistent_are_refused(old: int, new: int) -> None:
    with pytest.raises(ProofError, match="cannot be shown"):
        consistency_proof(old, new, stored(3))
    with pytest.raises(ProofError, match="cannot be shown"):
        verify_consistency(old, new, (LEAVES[0], LEAVES[0]), ())


def test_consistency_proof_of_wrong_length_is_refused() -> None:
    roots, proof = (definition(LEAVES[:3]), definition(LEAVES[:7])), consistency_proof(3, 7, stored(7))
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(3, 7, roots, ())
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(3, 7, roots, proof[:-1])
    with pytest.raises(ProofError, match="too long"):
        verify_consistency(3, 7, roots, (*proof, LEAVES[0]))
    with pytest.raises(ProofError, match="32 bytes"):
        verify_consistency(3, 7, (b"", roots[1]), proof)


def test_two_roots_or_a_proof_for_one_size_are_refused() -> None:
    verify_consistency(5, 5, (LEAVES[0], LEAVES[0]), ())
    with pytest.raises(ProofError, match="two roots"):
        verify_consistency(5, 5, (LEAVES[0], LEAVES[1]), ())
    with pytest.raises(ProofError, match="needless"):
        verify_consistency(5, 5, (LEAVES[0], LEAVES[0]), (LEAVES[2],))


def test_consistency_proof_that_fits_one_root_only_is_refused() -> None:
    old, new, proof = definition(LEAVES[:6]), definition(LEAVES[:7]), consistency_proof(6, 7, stored(7))
    with pytest.raises(ProofError, match="size 7 is not shown to extend size 6"):
        verify_consistency(6, 7, (LEAVES[0], new), proof)
    with pytest.raises(ProofError, match="size 7 is not shown to extend size 6"):
        verify_consistency(6, 7, (old, LEAVES[0]), proof)


def test_largest_tree_is_proven_in_few_steps() -> None:
    with pytest.raises(ProofError, match="too short"):
        verify_inclusion(LEAVES[0], 0, MAX_SIZE, LEAVES * 2, LEAVES[0])
    with pytest.raises(ProofError, match="too short"):
        verify_consistency(1, MAX_SIZE, (LEAVES[0], LEAVES[1]), LEAVES * 2)
