"""`verify ledger`: everything that is stored, computed again from the entries alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import BadSourceError, UnsupportedError
from ledger.core.fold import Void, judge
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.state import DictState
from ledger.core.trust.good import judge_good, parse_claim
from ledger.engine.signing import placed_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it. `index` is the first entry that is wrong, None when none is or when it is not an entry that is wrong."""

    size: int
    root: str
    detail: str
    verified: bool
    index: int | None = None
    accepted: int = 0
    void: int = 0
    state_root: str | None = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        names = ("verified", "size", "root", "accepted", "void", "state_root", "index", "detail")
        return {name: getattr(self, name) for name in names}


class WrongError(Exception):
    """Something does not agree: what, and at which entry."""

    def __init__(self, detail: str, index: int | None = None) -> None:
        super().__init__(detail)
        self.index = index


def verify_snapshot(snapshot: Snapshot, network: str, *, deep: bool = False, progress: Callable[[int], None] | None = None) -> Checked:
    """Recompute leaf hashes, tree, signatures, verdicts, state root and checkpoint of one snapshot.

    With `deep` also the state root in every mark. Stops at the first thing that is wrong and names it.
    """
    head = snapshot.head()
    run = _Run(snapshot, DictState(network), deep=deep)
    try:
        for number in run.entries(head.size):
            if progress is not None:
                progress(number)
        run.tree(head.root)
        run.checkpoint(head.size, head.root)
        root = run.state_root()
    except WrongError as wrong:
        return Checked(head.size, head.root.hex(), str(wrong), verified=False, index=wrong.index, accepted=run.accepted, void=run.void)
    return Checked(head.size, head.root.hex(), "everything agrees", verified=True, accepted=run.accepted, void=run.void, state_root=root)


class _Run:
    def __init__(self, snapshot: Snapshot, state: DictState, *, deep: bool) -> None:
        self._snapshot = snapshot
        self._state = state
        self._deep = deep
        self._frontier = Frontier()
        self.accepted = 0
        self.void = 0

    def entries(self, size: int) -> Iterator[int]:
        """Check the entries page by page; yield how many each page had."""
        start = 0
        while start < size:
            page = self._snapshot.entries(start, size)
            if not page:
                raise WrongError(f"entry {start} is missing", start)
            self._leaves(start, page)
            for index, entry in enumerate(page, start):
                self._entry(index, entry)
            start += len(page)
            yield len(page)

    def _leaves(self, start: int, page: list[bytes]) -> None:
        """Compare every leaf with its stored node, then every inner node that the page completes."""
        leaves = leaf_hashes(page)
        for index, leaf in enumerate(leaves, start):
            if self._snapshot.read(0, index) != leaf:
                raise WrongError(f"entry {index} was changed: its bytes do not make its leaf hash", index)
        first = self._place()
        nodes = self._frontier.append_many(leaves)
        stored = dict(
            self._snapshot.connection.execute("SELECT place, hash FROM node WHERE place >= ? AND place < ?", (first, self._place()))
        )
        for place, node in nodes:
            if stored.get(place) != node:
                raise WrongError(f"a tree node over entries {start} to {start + len(page) - 1} is not what they make")

    def _place(self) -> int:
        return 2 * self._frontier.size - self._frontier.size.bit_count()

    def _entry(self, index: int, entry: bytes) -> None:
        if self._deep:
            self._mark(index)
        try:
            verdict = judge(self._state, entry, index)
        except UnsupportedError as error:
            raise WrongError(f"entry {index}: {error.message}", index) from error
        stored = self._snapshot.void(index)
        if isinstance(verdict, Void):
            self.void += 1
            if stored is None:
                raise WrongError(f"entry {index} is void ({verdict.reason}) but stands as accepted", index)
            return
        self.accepted += 1
        if stored is not None:
            raise WrongError(f"entry {index} is in force but stands as void ({stored.reason})", index)
        self._state.apply(verdict)

    def _mark(self, index: int) -> None:
        """Compare the state root that the mark before this entry claims, when it claims one of this size."""
        record = self._state.record("mark")
        claim = None if record is None or record.index != index - 1 else record.content["state"]
        if isinstance(claim, dict):
            at = claim["size"]
            if isinstance(at, int) and self._snapshot.state(at).state_root() != claim["root"]:
                raise WrongError(f"the mark at {index - 1} has a state root for size {at} that is not the state's", index - 1)

    def tree(self, root: bytes) -> None:
        """Compare the root hash of all entries with the stored head."""
        if self._frontier.root() != root:
            raise WrongError("the entries do not make the root hash of the stored head")

    def checkpoint(self, size: int, root: bytes) -> None:
        """Check the newest note: signed by an open log key, for this very tree."""
        note = self._snapshot.checkpoint()
        if note is None:
            raise WrongError("there is no signed checkpoint")
        try:
            claim = parse_claim(note)
            judge_good(note, placed_roots(self._snapshot.connection))
        except BadSourceError as error:
            raise WrongError(f"the newest checkpoint is not good: {error.message}") from error
        if (claim.size, claim.root) != (size, root):
            raise WrongError(f"the newest checkpoint is for size {claim.size}, and not for the tree of the {size} entries stored")

    def state_root(self) -> str:
        """Compare the state of the fold from scratch with the stored one; return its root."""
        root = self._state.state_root()
        if self._snapshot.state().state_root() != root:
            raise WrongError("the stored state is not what the entries make")
        return root
