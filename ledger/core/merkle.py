"""The Merkle tree of the log: RFC 6962 section 2.1 with SHA-256, pure.

Leaves are entries; a node `(level, index)` covers leaves `index * 2**level …`. Only *complete* nodes are
ever stored, so a stored hash never changes. `stored_index` numbers them in the order in which appends
complete them: a table keyed by it only grows at its end, and the nodes of a tree of size n are exactly
the first `node_count(n)`.

Readers hand in hashes of complete nodes; everything else (roots, proofs) is computed here.
Spec: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from ledger.core.errors import NotFoundError, ProofError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
MAX_PROOF = 64
EMPTY_ROOT = sha256(b"").digest()


class HashReader(Protocol):
    """Gives stored hashes of complete nodes."""

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of complete node `(level, index)`; raise a LedgerError if it is not stored."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Return the leaf hash of each entry, in order."""
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above `left` and `right`."""
    return sha256(b"\x01" + left + right).digest()


def node_count(size: int) -> int:
    """Return how many complete nodes, leaves included, a tree of `size` leaves has."""
    return 2 * size - size.bit_count()


def stored_index(level: int, index: int) -> int:
    """Return the place of node `(level, index)` in the order in which appends complete nodes, from 0."""
    last_leaf = ((index + 1) << level) - 1
    return node_count(last_leaf) + level


def peaks(size: int, start: int = 0) -> Iterator[tuple[int, int]]:
    """Yield `(level, index)` of the complete nodes that cover leaves `start … size-1`, left to right.

    `start` is 0 or a multiple of a power of two that is not below `size - start`.
    """
    while start < size:
        level = (size - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _bag(hashes: Sequence[bytes]) -> bytes:
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


class HashList:
    """A HashReader over a list of hashes in stored order. `nodes` is the caller's own list and may grow."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: list[bytes] | None = None) -> None:
        self.nodes: list[bytes] = [] if nodes is None else nodes

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of node `(level, index)`; NotFoundError beyond the list."""
        place = stored_index(level, index)
        if place >= len(self.nodes):
            raise NotFoundError(f"tree node {index} of level {level} is not here", level=level, index=index)
        return self.nodes[place]


class Frontier:
    """The right edge of a tree: enough to append and to know the root. Mutable; `copy` before a trial."""

    __slots__ = ("_peaks", "_root", "_size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise ProofError(f"a tree of size {size} has {size.bit_count()} peaks, not {len(hashes)}")
        self._size = size
        self._peaks = list(hashes)
        self._root: bytes | None = None  # once it was asked for

    @classmethod
    def load(cls, size: int, reader: HashReader) -> Frontier:
        """Return the frontier of the first `size` leaves of a stored tree."""
        return cls(size, [reader.read(level, index) for level, index in peaks(size)])

    @property
    def size(self) -> int:
        """Return the number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Return the peaks, left to right: what `Frontier(size, hashes)` takes."""
        return tuple(self._peaks)

    def copy(self) -> Frontier:
        """Return a frontier that grows on its own."""
        other = Frontier(self._size, self._peaks)
        other._root = self._root
        return other

    def root(self) -> bytes:
        """Return the root hash."""
        if self._root is None:
            self._root = _bag(self._peaks) if self._peaks else EMPTY_ROOT
        return self._root

    def append(self, leaf: bytes) -> list[tuple[int, bytes]]:
        """Append one leaf hash; see `append_many`."""
        return self.append_many((leaf,))

    def append_many(self, leaves: Iterable[bytes]) -> list[tuple[int, bytes]]:
        """Append leaf hashes. Return the nodes that became complete as `(stored_index, hash)`, ascending without gaps."""
        edge, size, nodes = self._peaks.copy(), self._size, list[bytes]()
        for leaf in leaves:
            node, rest = leaf, size
            nodes.append(node)
            while rest & 1:
                node = sha256(b"\x01" + edge.pop() + node).digest()
                nodes.append(node)
                rest >>= 1
            edge.append(node)
            size += 1
        first = node_count(self._size)
        self._peaks, self._size, self._root = edge, size, None
        return list(enumerate(nodes, first))


def tree_root(size: int, reader: HashReader) -> bytes:
    """Return the root hash of the first `size` leaves of a stored tree."""
    return Frontier.load(size, reader).root()


class Siblings:
    """Hashes of the nodes of one tree of `size`, the incomplete ones on its right edge too; reads each once."""

    __slots__ = ("_known", "_reader", "_size")

    def __init__(self, size: int, reader: HashReader) -> None:
        self._size = size
        self._reader = reader
        self._known: dict[tuple[int, int], bytes] = {}

    def hash(self, level: int, index: int) -> bytes:
        """Return the hash of a node, complete or not."""
        key = (level, index)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._compute(level, index)
        return known

    def _compute(self, level: int, index: int) -> bytes:
        read = self._reader.read
        if (index + 1) << level <= self._size:
            return read(level, index)
        return _bag([read(*peak) for peak in peaks(self._size, index << level)])

    def path(self, level: int, index: int) -> tuple[bytes, ...]:
        """Return the siblings from node `(level, index)` up to the root."""
        last = (self._size - 1) >> level
        found = []
        while last:
            sibling = index ^ 1
            if sibling <= last:
                found.append(self.hash(level, sibling))
            level, index, last = level + 1, index >> 1, last >> 1
        return tuple(found)


def inclusion_proof(index: int, size: int, reader: HashReader) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is in the tree of `size`. ProofError when it cannot be."""
    return inclusion_proofs((index,), size, reader)[0]


def inclusion_proofs(indices: Iterable[int], size: int, reader: HashReader) -> list[tuple[bytes, ...]]:
    """Return the inclusion proof of each index in one tree, reading each node once. ProofError as above."""
    siblings, proofs = Siblings(size, reader), []
    for index in indices:
        _check_index(index, size)
        proofs.append(siblings.path(0, index))
    return proofs


def consistency_proof(old: int, new: int, reader: HashReader) -> tuple[bytes, ...]:
    """Return the proof that the tree of `old` leaves is a prefix of that of `new`. ProofError unless 0 < old <= new."""
    _check_sizes(old, new)
    if old == new:
        return ()
    level = _trailing_zeros(old)
    index = (old - 1) >> level
    siblings = Siblings(new, reader)
    seed = (siblings.hash(level, index),) if index else ()
    return seed + siblings.path(level, index)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` (a leaf hash) is at `index` of the tree of `size` with `root`. Raise ProofError if not shown."""
    _check_index(index, size)
    _check_hashes(proof, leaf)
    if _climb(leaf, index, size - 1, proof) != root:
        raise ProofError(f"the proof of entry {index} does not lead to the root of size {size}", index=index, size=size)


def _climb(node: bytes, index: int, last: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that `proof` leads to from the node at `index`, `last` being the last index of its level."""
    left = iter(proof)
    try:
        while last:
            if index & 1:
                node = node_hash(next(left), node)
            elif index < last:
                node = node_hash(node, next(left))
            index, last = index >> 1, last >> 1
    except StopIteration:
        raise ProofError("the proof is too short") from None
    if next(left, None) is not None:
        raise ProofError("the proof is too long")
    return node


def verify_consistency(old: int, new: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> None:
    """Check that the tree `old` with `roots[0]` is a prefix of the tree `new` with `roots[1]`.

    Raise ProofError if that is not shown, and for `old` 0: an empty tree is a prefix of everything, so there is nothing to prove.
    """
    _check_sizes(old, new)
    if old == new:
        if proof or roots[0] != roots[1]:
            raise ProofError(f"two roots or a needless proof for size {old}", size=old)
        return
    _check_hashes(proof, *roots)
    level = _trailing_zeros(old)
    index, last = (old - 1) >> level, (new - 1) >> level
    if index and not proof:
        raise ProofError("the proof is too short")
    seed, path = (proof[0], proof[1:]) if index else (roots[0], proof)
    if _climb(seed, index, last, path) != roots[1] or _left_root(seed, index, last, path) != roots[0]:
        raise ProofError(f"size {new} is not shown to extend size {old}", old=old, new=new)


def _left_root(node: bytes, index: int, last: int, path: Sequence[bytes]) -> bytes:
    """Return the root of the old tree: `node` joined with the siblings to its left only. `path` has the right length."""
    left = iter(path)
    while last:
        if index & 1:
            node = node_hash(next(left), node)
        elif index < last:
            next(left)
        index, last = index >> 1, last >> 1
    return node


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError(f"a tree of size {size} has no entry {index}")


def _check_sizes(old: int, new: int) -> None:
    if not 0 < old <= new <= MAX_SIZE:
        raise ProofError(f"size {new} cannot be shown to extend size {old}")


def _check_hashes(proof: Sequence[bytes], *ends: bytes) -> None:
    if len(proof) > MAX_PROOF:
        raise ProofError(f"a proof has at most {MAX_PROOF} hashes")
    if any(len(one) != HASH_SIZE for one in (*ends, *proof)):
        raise ProofError(f"a hash has {HASH_SIZE} bytes")
