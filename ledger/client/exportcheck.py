"""`verify ledger FILE`: everything that an export file says, computed again from its entries alone, with nothing kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.client.checking import Checked, WrongError
from ledger.core.errors import BadSourceError, UnsupportedError, VerificationError
from ledger.core.fold import Void, judge
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.root import parse_root
from ledger.core.state import DictState
from ledger.core.trust.good import judge_good, parse_claim
from ledger.core.trust.roots import PlacedRoot

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.client.exportfile import ExportFile
    from ledger.core.keys import PublicKey
    from ledger.core.state import Accepted


def verify_export(file: ExportFile, network: str, *, deep: bool = False, progress: Callable[[int], None] | None = None) -> Checked:
    """Check the file as the log of `network`: leaf hashes, tree, checkpoint, roots, signatures, verdicts, state root (blocking).

    With `deep` also the state root in every mark. Stops at the first thing that is wrong and names it. Raises FormatError from
    `ExportFile`, never for what is merely untrue.
    """
    header = file.header
    run = _Run(file, network)
    try:
        run.pinned(network)
        for page in file.pages():
            run.page(page)
            if progress is not None:
                progress(len(page))
        run.tree()
        run.checkpoint()
        root = run.state_root()
        if deep:
            run.marks()
    except WrongError as wrong:
        return Checked(header.size, header.root, str(wrong), verified=False, index=wrong.index, accepted=run.accepted, void=run.void)
    except VerificationError as error:
        return Checked(header.size, header.root, error.message, verified=False, accepted=run.accepted, void=run.void)
    return Checked(header.size, header.root, "everything agrees", verified=True, accepted=run.accepted, void=run.void, state_root=root)


class _Run:
    def __init__(self, file: ExportFile, network: str) -> None:
        self._file = file
        self._network = network
        self._void = frozenset(file.header.void)
        self._state = DictState(network)
        self._frontier = Frontier()
        self._roots: list[PlacedRoot] = []
        self._claims: list[tuple[int, int, str]] = []
        self.accepted = 0
        self.void = 0

    def pinned(self, network: str) -> None:
        """Compare the network that the file names with the one that is pinned."""
        if self._file.header.network != network:
            raise WrongError(f"this is the ledger of network {self._file.header.network}, not of {network}")

    def page(self, page: list[bytes]) -> None:
        """Judge the next entries."""
        start = self._frontier.size
        self._frontier.append_many(leaf_hashes(page))
        for index, entry in enumerate(page, start):
            self._entry(index, entry)

    def _entry(self, index: int, entry: bytes) -> None:
        try:
            verdict = judge(self._state, entry, index)
        except UnsupportedError as error:
            raise WrongError(f"entry {index}: {error.message}", index) from error
        if isinstance(verdict, Void):
            self.void += 1
            if index not in self._void:
                raise WrongError(f"entry {index} is void ({verdict.reason}) but stands as accepted", index)
            return
        self.accepted += 1
        if index in self._void:
            raise WrongError(f"entry {index} is in force but stands as void", index)
        self._state.apply(verdict)
        self._remember(index, entry, verdict)

    def _remember(self, index: int, entry: bytes, verdict: Accepted) -> None:
        """Keep the roots, and what marks claim of the state."""
        for record in verdict.records:
            claim = record.content.get("state") if record.kind == "mark" else None
            if isinstance(claim, dict):
                size, root = claim["size"], claim["root"]
                self._claims += [(index, size, str(root))] if isinstance(size, int) else []
            if record.kind == "root":
                if self._file.roots[len(self._roots) : len(self._roots) + 1] != [entry]:
                    raise WrongError(f"the root at entry {index} is not the one that the file shows beforehand", index)
                self._roots.append(PlacedRoot(index, record.digest, parse_root(record.content)))

    def tree(self) -> None:
        """Compare the entries with the root hash, and the roots that the file shows with those among the entries."""
        if self._frontier.root().hex() != self._file.header.root:
            raise WrongError("the entries do not make the root hash of the file")
        if len(self._roots) != len(self._file.roots):
            raise WrongError("the file shows a root beforehand that is not among its entries")

    def checkpoint(self) -> None:
        """Check the note: signed by an open log key, for this very tree."""
        header, note = self._file.header, self._file.note
        try:
            claim = parse_claim(note)
            judge_good(note, self._roots)
        except BadSourceError as error:
            raise WrongError(f"the checkpoint is not good: {error.message}") from error
        if (claim.size, claim.root.hex()) != (header.size, header.root):
            raise WrongError(f"the checkpoint is for size {claim.size}, and not for the tree of the {header.size} entries here")

    def state_root(self) -> str:
        """Compare the state that the entries make with the state root of the file."""
        root = self._state.state_root()
        if root != self._file.header.state_root:
            raise WrongError("the state root of the file is not that of its entries")
        return root

    def marks(self) -> None:
        """Fold once more, to the state at every size that a mark speaks of. Signatures were checked the first time."""
        wanted = {size for _, size, _ in self._claims}
        roots: dict[int, str] = {}
        state, index = DictState(self._network), 0
        self._file.rewind()
        for page in self._file.pages():
            for entry in page:
                if index in wanted:
                    roots[index] = state.state_root()
                verdict = None if index in self._void else judge(state, entry, index, check=_checked_before)
                if verdict is not None and not isinstance(verdict, Void):
                    state.apply(verdict)
                index += 1
        for mark, size, root in self._claims:
            if roots.get(size) != root:
                raise WrongError(f"the mark at {mark} has a state root for size {size} that is not the state's", mark)


def _checked_before(_key: PublicKey, _signature: bytes, _message: bytes) -> bool:
    return True
