"""Two ledgers held against each other, entry by entry: two servers, or a log and what a chain holds of it.

Nothing is taken on trust here and nothing is judged true: it says where two differ. Of a mirror every batch that stands is compared,
proven by a note or not, and named with its block and transaction; what the master's key never signed proves nothing against the log,
and is a difference all the same only where nobody else gave the right entry.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.core.errors import AlarmError, BadSourceError, LedgerError, NotReadyError
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.trust.good import judge_good, parse_claim
from ledger.core.trust.roots import PlacedRoot, parse_next_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ledger.core.backend import Backend, Claimed

PAGE = 1_000
MOST = 1_000  # differences that are told


@runtime_checkable
class Mirrored(Protocol):
    """A backend that reads a mirror."""

    async def claims(self) -> list[Claimed]:
        """Return every batch that stands, whatever it proves."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two ledgers differ. `block` and `transaction` are None for what is not on a chain."""

    index: int
    what: str
    first: str | None
    second: str | None
    block: int | None = None
    transaction: str | None = None
    submitter: str | None = None

    def facts(self) -> dict[str, object]:
        """Return it as `audit -o json` shows it."""
        return {name: getattr(self, name) for name in ("index", "what", "first", "second", "block", "transaction", "submitter")}


@dataclass(slots=True)
class Report:
    """What an audit found. `split`: the log's own key signed two trees."""

    sizes: tuple[int, int]
    compared: int = 0
    notes: int = 0
    split: bool = False
    differences: list[Difference] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, one: Difference) -> None:
        """Take a difference down, up to as many as are told."""
        if len(self.differences) < MOST:
            self.differences.append(one)

    def facts(self) -> dict[str, object]:
        """Return it as `audit -o json` shows it."""
        return {
            "same": not self.differences,
            "sizes": list(self.sizes),
            "compared": self.compared,
            "notes": self.notes,
            "split": self.split,
            "differences": [one.facts() for one in self.differences],
            "remarks": self.remarks,
        }


class Reading:
    """One ledger read to its end: the digest of each entry, its roots, and the root hash at any size that is asked for beforehand."""

    def __init__(self, network: str) -> None:
        self.digests: list[bytes] = []
        self.placed: list[PlacedRoot] = []
        self.hashes: dict[int, bytes] = {}
        self.note: bytes | None = None
        self._network = network

    async def run(self, ledger: Backend, sizes: Iterable[int] = (), progress: Callable[[int], None] | None = None) -> None:
        """Read `ledger`; keep the root hashes at `sizes`. Raises BadSourceError when its entries do not make its checkpoint."""
        head = await ledger.head()
        tree, wanted = Frontier(), sorted({size for size in sizes if size <= head.size} | {head.size})
        while tree.size < head.size:
            entries = await ledger.read(tree.size, min(head.size, tree.size + PAGE))
            if not entries:
                raise BadSourceError(f"the ledger says it has {head.size} entries, and shows {tree.size}")
            self._take(entries, tree, wanted)
            if progress is not None:
                progress(len(entries))
        self.note = head.checkpoint
        if head.checkpoint is not None:
            claim = parse_claim(head.checkpoint)
            if claim.size != head.size or self.hashes.get(claim.size, claim.root) != claim.root:
                raise BadSourceError("the entries that the ledger shows do not make the tree of its own checkpoint")

    def _take(self, entries: Sequence[bytes], tree: Frontier, wanted: Sequence[int]) -> None:
        for entry in entries:
            placed = parse_next_root(entry, self.placed[-1] if self.placed else None, self._network)
            if placed is not None:
                self.placed.append(PlacedRoot(len(self.digests), placed.digest, placed.root))
            self.digests.append(digest(entry))
        end = tree.size + len(entries)
        start = tree.size
        for size in [*(one for one in wanted if start < one < end), end]:
            tree.append_many(leaf_hashes(entries[tree.size - start : size - start]))
            self.hashes[size] = tree.root()


def digest(entry: bytes) -> bytes:
    """Return what an entry is compared by."""
    return hashlib.sha256(entry).digest()


async def audit(first: Backend, second: Backend, network: str, progress: Callable[[int], None] | None = None) -> Report:
    """Compare two ledgers of a network. Raises what keeps one of them from being read."""
    if isinstance(first, Mirrored) and not isinstance(second, Mirrored):
        found = await _with_mirror(second, first, network, progress)
        found.sizes = (found.sizes[1], found.sizes[0])
        found.differences = [
            Difference(one.index, one.what, one.second, one.first, one.block, one.transaction, one.submitter) for one in found.differences
        ]
        return found
    if isinstance(second, Mirrored):
        return await _with_mirror(first, second, network, progress)
    return await _plain(first, second, network, progress)


async def _plain(first: Backend, second: Backend, network: str, progress: Callable[[int], None] | None) -> Report:
    sizes = [(await first.head()).size, (await second.head()).size]
    one, other = Reading(network), Reading(network)
    await one.run(first, sizes, progress)
    await other.run(second, sizes, progress)
    report = Report((len(one.digests), len(other.digests)), compared=min(len(one.digests), len(other.digests)))
    for index, (left, right) in enumerate(zip(one.digests, other.digests, strict=False)):
        if left != right:
            report.add(Difference(index, "entry", left.hex(), right.hex()))
    if report.sizes[0] != report.sizes[1]:
        report.remarks.append(f"one has {abs(report.sizes[0] - report.sizes[1])} entries more")
    report.split = bool(report.differences) and one.note is not None and other.note is not None
    return report


async def _with_mirror(log: Backend, mirror: Backend, network: str, progress: Callable[[int], None] | None) -> Report:
    """Compare a log with every batch of a mirror that stands."""
    claims = await mirror.claims() if isinstance(mirror, Mirrored) else []
    own = Reading(network)
    await own.run(log, [parse_claim(one.note).size for one in claims], progress)
    proven = 0
    report = Report((len(own.digests), 0))
    try:
        proven = (await mirror.head()).size
    except AlarmError:
        raise
    except LedgerError as error:
        if not isinstance(error, NotReadyError):
            report.remarks.append(error.message)
    right = _entries(own, claims, report)
    _notes(own, claims, report)
    missing = next((index for index in range(len(own.digests)) if index not in right), len(own.digests))
    report.sizes = (len(own.digests), missing)
    report.compared = len(right)
    if missing < len(own.digests):
        report.remarks.append(f"the mirror lacks entries from {missing} on: it is behind, or something was left out")
    if proven < missing:
        report.remarks.append(f"of what the mirror holds, {proven} entries are proven by a checkpoint")
    return report


def _entries(own: Reading, claims: Sequence[Claimed], report: Report) -> set[int]:
    """Compare the entries of all batches; return the indices for which some batch has the right one."""
    right: set[int] = set()
    wrong: dict[int, list[Difference]] = {}
    for claim in claims:
        for index, entry in enumerate(claim.entries, claim.start):
            expected = own.digests[index] if index < len(own.digests) else None
            shown = digest(entry)
            if shown == expected:
                right.add(index)
            else:
                left = None if expected is None else expected.hex()
                one = Difference(index, "entry", left, shown.hex(), claim.block, claim.transaction, claim.submitter)
                wrong.setdefault(index, []).append(one)
    for index in sorted(wrong.keys() - right):
        for one in wrong[index]:
            report.add(one)
    return right


def _notes(own: Reading, claims: Sequence[Claimed], report: Report) -> None:
    """Compare the notes: what the log's key signed must be a tree of this log; what it did not sign is named."""
    for claim in claims:
        said = parse_claim(claim.note)
        expected = own.hashes.get(said.size)
        try:
            judge_good(claim.note, own.placed)
            signed = True
        except BadSourceError:
            signed = False
        if signed and expected == said.root:
            report.notes += 1
            continue
        what = "checkpoint" if signed else "checkpoint, not signed by this log"
        report.split |= signed and expected is not None
        left = None if expected is None else expected.hex()
        report.add(Difference(said.size, what, left, said.root.hex(), claim.block, claim.transaction, claim.submitter))
