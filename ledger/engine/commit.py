"""Steps 1 to 5 of the write path (DESIGN 5): one batch, one transaction, in the lane of the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ledger.engine.admission import Admission, is_way_back
from ledger.engine.forkguard import CONTINUED, RESTORED
from ledger.engine.receipts import NewNodes
from ledger.engine.signatures import NONE

if TYPE_CHECKING:
    from ledger.core.note import Note
    from ledger.engine.admission import Request
    from ledger.engine.signatures import Checked
    from ledger.engine.signing import GuardedClock, NoteSigner
    from ledger.engine.store import Store
    from ledger.engine.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Committed:
    """What a batch left in the database: the note without witness and clock lines, the stored time for the latter, and what is new."""

    start: int
    size: int
    root: bytes
    note: Note
    time: int
    new: NewNodes | None = None
    authority: tuple[bytes, ...] | None = None  # new entries that may change who is who and who may what; None: not known
    continued: bool = False  # by a root that takes the log up again where it was lost

    @property
    def entries(self) -> tuple[bytes, ...]:
        """Return the new entries."""
        return () if self.new is None else self.new.entries


class NothingPlacedError(Exception):
    """No entry of the batch was placed: the transaction, and a mark in it, are undone."""


class Committer:
    """Sequences batches into the store. `state_roots` holds state roots computed ahead, by size, for the marks."""

    def __init__(self, store: Store, signer: NoteSigner, clock: GuardedClock, checked: Checked) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._checked = checked
        self.state_roots: dict[int, str] = {}
        self._time: int | None = None  # what the newest batch stored for the clock line

    def commit(self, batch: list[Request]) -> Committed | None:
        """Sequence a batch and fill in its outcomes; None when nothing of it was placed. Memory follows only when the COMMIT stands.

        Raises OutcomeUnknown when the COMMIT failed; any other error means that nothing of the batch is stored.
        """
        before = self._signer.roots
        try:
            committed = self._store.transact(partial(self._place, batch))
        except NothingPlacedError:
            return None
        except BaseException:
            self._signer.roots = before
            raise
        self._time = committed.time
        return committed

    def _place(self, batch: list[Request], transaction: Transaction) -> Committed:
        """Do all but the COMMIT, which follows. A crash or an error anywhere here leaves the log as it was.

        Callers then get no answer, or the error; what they sent is nowhere, and they may send it again.
        """
        # 1. The transaction is open and the head row equals the head in memory, or Transaction had refused to begin. A mark first
        #    when the last is over 60 s old. The time for the clock line is taken here, so that COMMIT stores it before it leaves.
        start, time = transaction.size, self._clock.time()
        check = self._checked.checker(NONE.union(*(request.good for request in batch)))
        admission = Admission(transaction, check, self._may_grow)
        if self._signer.roots and not is_way_back(batch[0].envelopes):
            admission.mark(self._signer.root, self._signer.keys.mark, time, self.state_roots)
        # 2. Judge each against what the batch has changed so far. Duplicates and refusals are answered and change nothing.
        admission.prepare(batch)
        for request in batch:
            admission.admit(request)
        if admission.placed == 0:
            raise NothingPlacedError
        # 3. Versions and look-ups were written as entries were accepted; now the entries and the nodes that they complete.
        head = transaction.store_tree()
        # 4. The root again, from the bytes that lie in the tables now: nothing wrong is ever signed.
        transaction.check_stored()
        # 5. The log line, by the roots in this very tree. A crash between COMMIT and step 6 leaves entries that are durable and
        #    signed while nobody was told: who asks again gets the receipt, as for any duplicate.
        note = self._signer.log_note(head.size, head.root)
        transaction.put_checkpoint(head.size, note.encode())
        if time != self._time:  # never less than what is stored: the guarded clock does not go back
            transaction.put_meta(self._signer.keys.clock_fact, time)
        if admission.continued:
            transaction.put_meta(RESTORED, None)
            transaction.put_meta(CONTINUED, head.size)
        new = NewNodes.after(transaction.before, admission.entries, transaction.completed)
        return Committed(start, head.size, head.root, note, time, new, tuple(admission.authority), admission.continued)

    def _may_grow(self, transaction: Transaction) -> bool:
        """Learn a root just placed. Tell whether one more entry could be signed: it may have closed the keys of this home."""
        self._signer.learn(transaction.connection)
        return self._signer.can_sign(transaction.size + 1)
