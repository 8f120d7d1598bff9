"""Two ledgers held against each other, entry by entry: two servers, or a log and what a chain holds of it.

Nothing is taken on trust here and nothing is judged true: it says where two differ. Of a mirror every batch that stands is compared,
proven by a note or not, and named with its block and transaction. What strangers append is a remark, and a wrong entry is a difference
only where nobody gave the right one.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.core.errors import AlarmError, BadSourceError, InternalError, NotReadyError
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.trust.good import judge_good, parse_claim
from ledger.core.trust.roots import PlacedRoot, parse_next_root

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from ledger.client.sync import Progress
    from ledger.core.backend import Backend, Claimed

PAGE = 1_000
MOST = 1_000  # differences that are told
MOST_WRONG = 100_000  # that are remembered on the way


@runtime_checkable
class Mirrored(Protocol):
    """A backend that reads a mirror."""

    def claims(self) -> AsyncIterator[Claimed]:
        """Yield every batch that stands, whatever it proves."""
        ...


@runtime_checkable
class CatchesUp(Protocol):
    """A backend that reads a chain before it can answer."""

    async def catch_up(self, progress: Progress | None = None) -> None:
        """Read the chain up to its end; `progress` hears of blocks."""
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

    async def run(self, ledger: Backend, sizes: Iterable[int], advance: Callable[[int], None]) -> None:
        """Read `ledger`; keep the root hashes at `sizes`. Raises BadSourceError when its entries do not make its checkpoint."""
        head = await ledger.head()
        tree, wanted = Frontier(), sorted({size for size in sizes if size <= head.size} | {head.size})
        while tree.size < head.size:
            entries = await ledger.read(tree.size, min(head.size, tree.size + PAGE))
            if not entries:
                raise BadSourceError(f"the ledger says it has {head.size} entries, and shows {tree.size}")
            self._take(entries, tree, wanted)
            advance(len(entries))
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


async def audit(first: Backend, second: Backend, network: str, progress: Progress | None = None) -> Report:
    """Compare two ledgers of a network; `progress` hears of entries. Raises what keeps one of them from being read."""
    for one in (first, second):
        if isinstance(one, CatchesUp):
            await one.catch_up(progress)
    sizes = [await _size(first), await _size(second)]
    advance = _Told(progress, sum(sizes)).advance
    if isinstance(first, Mirrored) and not isinstance(second, Mirrored):
        found = await _with_mirror(second, first, network, advance)
        found.sizes = (found.sizes[1], found.sizes[0])
        found.differences = [
            Difference(one.index, one.what, one.second, one.first, one.block, one.transaction, one.submitter) for one in found.differences
        ]
        return found
    if isinstance(second, Mirrored):
        return await _with_mirror(first, second, network, advance)
    return await _plain((first, second), sizes, network, advance)


async def _size(ledger: Backend) -> int:
    """Return how many entries will be read of a ledger: of a mirror what is proven, since nobody knows what else there is."""
    if isinstance(ledger, Mirrored):
        with suppress(NotReadyError, BadSourceError, AlarmError):
            return (await ledger.head()).size
        return 0
    return (await ledger.head()).size


class _Told:
    """Tells how far it is, never more than the whole."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self._progress = progress
        self._whole = whole
        self._done = 0

    def advance(self, entries: int) -> None:
        """Say that so many more were compared."""
        self._done = min(self._whole, self._done + entries)
        if self._progress is not None and self._whole:
            self._progress(self._done, self._whole)


async def _plain(ledgers: tuple[Backend, Backend], sizes: Sequence[int], network: str, advance: Callable[[int], None]) -> Report:
    one, other = Reading(network), Reading(network)
    await one.run(ledgers[0], sizes, advance)
    await other.run(ledgers[1], sizes, advance)
    report = Report((len(one.digests), len(other.digests)), compared=min(len(one.digests), len(other.digests)))
    for index, (left, right) in enumerate(zip(one.digests, other.digests, strict=False)):
        if left != right:
            report.add(Difference(index, "entry", left.hex(), right.hex()))
    report.remarks.extend(
        f"the {which} is the ledger of another network than this home's"
        for which, read in (("first", one), ("second", other))
        if read.digests and not read.placed
    )
    if report.sizes[0] != report.sizes[1]:
        report.remarks.append(f"one has {abs(report.sizes[0] - report.sizes[1])} entries more")
    both = [note for note in (one.note, other.note) if note is not None and is_signed(note, one.placed)]
    report.split = bool(report.differences) and len(both) == len((one, other))
    return report


async def _with_mirror(log: Backend, mirror: Backend, network: str, advance: Callable[[int], None]) -> Report:
    """Compare a log with every batch of a mirror that stands."""
    if not isinstance(mirror, Mirrored):
        raise InternalError("what is compared with a log here is a mirror")
    sizes = {parse_claim(one.note).size async for one in mirror.claims()}
    own = Reading(network)
    await own.run(log, sizes, advance)
    report = Report((len(own.digests), 0))
    proven = await _proven(mirror, report)
    comparing = _Comparing(own, report)
    async for claim in mirror.claims():
        comparing.take(claim)
        advance(len(claim.entries))
    held = comparing.finish()
    report.sizes = (len(own.digests), held)
    if held < len(own.digests):
        report.remarks.append(f"the mirror lacks entries from {held} on: it is behind, or something was left out")
    if proven < held:
        report.remarks.append(f"of what the mirror holds, {proven} entries are proven by a checkpoint")
    return report


async def _proven(mirror: Backend, report: Report) -> int:
    try:
        return (await mirror.head()).size
    except NotReadyError:
        return 0
    except (BadSourceError, AlarmError) as error:
        report.remarks.append(error.message)
        return 0


class _Comparing:
    """Batches of a mirror held against the log. Whoever never appended a note of this log is a stranger: a remark, no difference."""

    def __init__(self, own: Reading, report: Report) -> None:
        self._own = own
        self._report = report
        self._right = bytearray(len(own.digests))
        self._wrong: dict[int, list[Difference]] = {}
        self._notes: list[Difference] = []
        self._known: set[str] = set()

    def take(self, claim: Claimed) -> None:
        """Compare one batch."""
        self._compare_note(claim)
        for index, entry in enumerate(claim.entries, claim.start):
            inside = index < len(self._right)
            expected, shown = self._own.digests[index] if inside else None, digest(entry)
            if inside and shown == expected:
                self._right[index] = 1
            elif len(self._wrong) < MOST_WRONG:
                self._wrong.setdefault(index, []).append(_difference(claim, index, "entry", expected, shown))

    def _compare_note(self, claim: Claimed) -> None:
        said = parse_claim(claim.note)
        expected = self._own.hashes.get(said.size)
        signed = is_signed(claim.note, self._own.placed)
        if signed:
            self._known.add(claim.submitter)
        if signed and expected == said.root:
            self._report.notes += 1
            return
        self._report.split |= signed and expected is not None
        what = "checkpoint" if signed else "checkpoint, not signed by this log"
        if len(self._notes) < MOST_WRONG:
            self._notes.append(_difference(claim, said.size, what, expected, said.root))

    def finish(self) -> int:
        """Take the differences down; return up to which index the mirror holds the log."""
        strangers = 0
        wrong = [
            one for index in sorted(self._wrong) if not (index < len(self._right) and self._right[index]) for one in self._wrong[index]
        ]
        for one in [*wrong, *self._notes]:
            if one.submitter in self._known:
                self._report.add(one)
            else:
                strangers += 1
        if strangers:
            self._report.remarks.append(f"{strangers} entries and notes of strangers prove nothing, and are passed over")
        self._report.compared = self._right.count(1)
        gap = self._right.find(0)
        return len(self._right) if gap < 0 else gap


def is_signed(note: bytes, placed: Sequence[PlacedRoot]) -> bool:
    """Tell whether a note is good by these roots."""
    try:
        judge_good(note, placed)
    except BadSourceError:
        return False
    return True


def _difference(claim: Claimed, index: int, what: str, expected: bytes | None, shown: bytes) -> Difference:
    left = None if expected is None else expected.hex()
    return Difference(index, what, left, shown.hex(), claim.block, claim.transaction, claim.submitter)
