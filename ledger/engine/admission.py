"""Judging a batch inside the commit transaction: what is placed, what is refused, what stands already (DESIGN 5, steps 1 and 2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.core.backend import Placed, Refused
from ledger.core.canonical import AUTHORITY_KINDS, format_time, parse_time
from ledger.core.envelope import Envelope, parse_envelope, sign
from ledger.core.errors import (
    ConflictError,
    FormatError,
    InternalError,
    LedgerError,
    NotReadyError,
    OutcomeUnknown,
    SizeMismatchError,
    UnsupportedError,
)
from ledger.core.fold import KNOWN_FOLD, Void, judge
from ledger.core.limits import LIMITS
from ledger.core.statement import MARK, ROOT, Statement
from ledger.core.trust.roots import Continues, parse_continues
from ledger.engine.signatures import NONE, Good
from ledger.engine.signing import placed_roots
from ledger.engine.transaction import MARKED
from ledger.kinds import Faulty, Rulebook, fault_error
from ledger.kinds.rulebook import SCHEMA

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    from ledger.core.canonical import JSONObject
    from ledger.core.fold import Check
    from ledger.core.ports import Signer
    from ledger.core.root import Root
    from ledger.core.state import Accepted, Record
    from ledger.engine.transaction import Transaction


@dataclass(slots=True)
class Request:
    """What one caller wants appended. `failed` answers the whole request, `outcomes` each envelope."""

    envelopes: Sequence[Envelope | FormatError]
    future: asyncio.Future[list[Placed | Refused]]
    expected_size: int | None = None
    receipts: bool = True
    good: Good = NONE
    outcomes: list[Placed | Refused] = field(default_factory=list)
    failed: LedgerError | None = None

    @property
    def octets(self) -> int:
        """Return the size of its entries in bytes."""
        return sum(len(one.entry) for one in self.envelopes if isinstance(one, Envelope))

    @property
    def operation(self) -> str:
        """Return the digest to look up when the outcome is unknown: that of the first statement."""
        return next((one.statement.digest for one in self.envelopes if isinstance(one, Envelope)), "")

    def answer(self) -> None:
        """Give the caller what was found, unless it was answered before or is gone."""
        if self.future.done():
            return
        if self.failed is not None:
            self.future.set_exception(self.failed)
        else:
            self.future.set_result(self.outcomes)

    def fail(self, error: LedgerError) -> None:
        """Give the caller the error, as `answer` does; an unknown outcome names what to look up."""
        if not self.future.done():
            unknown = isinstance(error, OutcomeUnknown)
            self.future.set_exception(OutcomeUnknown(error.message, operation=self.operation) if unknown else error)


def fail_all(requests: Iterable[Request], error: LedgerError) -> None:
    """Answer every request with the error."""
    for request in requests:
        request.fail(error)


def read_envelope(entry: Envelope | FormatError | bytes) -> Envelope | FormatError:
    """Return the envelope of an entry with its statement parsed, or why there is none."""
    if isinstance(entry, FormatError):
        return entry
    try:
        envelope = entry if isinstance(entry, Envelope) else parse_envelope(entry)
        _ = envelope.statement.digest
    except FormatError as error:
        return error
    return envelope


def continues_of(statement: Statement) -> Continues | None:
    """Return what a root says in `continues`; None when it says nothing, and for every other statement."""
    return parse_continues((statement.body or {}).get("order")) if statement.kind == ROOT else None


def is_way_back(request: Sequence[Envelope | FormatError]) -> bool:
    """Tell whether a request is one root with `continues`: what ends a fork risk, and stands before any mark."""
    return len(request) == 1 and isinstance(request[0], Envelope) and continues_of(request[0].statement) is not None


class Admission:
    """One batch on its way into one transaction."""

    def __init__(self, transaction: Transaction, check: Check, may_grow: Callable[[Transaction], bool]) -> None:
        """`may_grow` is asked after each root: whether the log could take one more entry and be signed."""
        self._transaction = transaction
        self._check = check
        self._may_grow = may_grow
        self._rules = Rulebook(transaction.view)
        self._ended = False
        self._marks = 0
        self._placed: dict[str, int] = {}
        self.continued = False
        self.entries: list[bytes] = []
        self.authority: list[bytes] = []  # those of them that are of an authority kind, marks aside

    @property
    def placed(self) -> int:
        """Return how many entries were placed, marks not counted."""
        return len(self._placed)

    def prepare(self, batch: Sequence[Request]) -> None:
        """Read together what the judge will ask for."""
        self._transaction.view.prefetch(one.statement.id for request in batch for one in request.envelopes if isinstance(one, Envelope))

    def admit(self, request: Request) -> None:
        """Judge the envelopes of a request in order and fill in its outcomes. Receipts come later."""
        # A mark that this batch made itself is nothing the caller could have seen.
        unseen = self._marks if self.placed == 0 else 0
        size = self._transaction.size
        if request.expected_size is not None and not size - unseen <= request.expected_size <= size:
            request.failed = SizeMismatchError(f"the log has {size} entries, not {request.expected_size}", size=size)
            return
        request.outcomes = [Refused(one) if isinstance(one, FormatError) else self._admit(one) for one in request.envelopes]

    def _admit(self, envelope: Envelope) -> Placed | Refused:
        statement = envelope.statement
        if statement.kind == ROOT and (misplaced := self._misplaced(statement)) is not None:
            return Refused(misplaced)
        if statement.kind == ROOT and statement.body is not None and statement.body.get("fold") not in {None, KNOWN_FOLD}:
            return Refused(UnsupportedError("this program does not know the fold that the root asks for"))
        if self._ended:
            return Refused(NotReadyError("a new root ends this order, or closes the log keys of this home"))
        index = self._transaction.size
        verdict = judge(self._transaction.view, envelope, index, check=self._check)
        if isinstance(verdict, Void):
            # A replay is void in any case, so only here is it worth asking whether the statement stands already.
            known = self._placed.get(statement.digest)
            first = self._transaction.find(statement.digest) if known is None else known
            return Refused(verdict.error()) if first is None else Placed(first, statement.digest)
        refusal = self._refusal(verdict.records[0])
        if refusal is not None:
            return Refused(refusal)
        self._place(envelope, verdict)
        self._placed[statement.digest] = index
        return Placed(index, statement.digest)

    def _refusal(self, record: Record) -> LedgerError | None:
        """Return why a version that the fold accepts is not taken here: the rules of its kind that the fold does not know."""
        if record.body is None:
            return None
        faults = self._rules.faults(record.kind, record.id, record.body)
        return fault_error([Faulty(record.kind, record.id, tuple(faults))]) if faults else None

    def _misplaced(self, statement: Statement) -> ConflictError | None:
        """Return why a root that brings a new `continues` in would make a log that nobody follows, None for any other statement."""
        said = continues_of(statement)
        before = [parse_continues(placed.root.order) for placed in placed_roots(self._transaction.connection)]
        if said is None or said in before or not before:
            return None
        head = self._transaction.store_tree()
        if (head.size, head.root) == (said.size, said.root):
            self.continued = True
            return None
        return ConflictError(f"the root continues a log of {said.size} entries; this one has {head.size}, or another root hash")

    def _place(self, envelope: Envelope, accepted: Accepted) -> None:
        index = self._transaction.add(envelope.entry, envelope.statement.digest)
        statement, first = envelope.statement, accepted.records[0]
        self._transaction.accept(index, accepted, statement.body_text if first.body is statement.body else None)
        self.entries.append(envelope.entry)
        if statement.kind in AUTHORITY_KINDS and statement.kind != MARK:
            self.authority.append(envelope.entry)
        if statement.kind == SCHEMA:
            self._rules = Rulebook(self._transaction.view)
        if statement.kind == ROOT:
            self._ended = not self._may_grow(self._transaction)

    # -- marks ---------------------------------------------------------------------------------------------------

    def mark(self, root: Root, signer: Signer | None, now: int, state_roots: dict[int, str]) -> None:
        """Place a mark when the last is over 60 s old and this home holds a mark key of the root.

        `state_roots` holds state roots computed ahead, by size; a missing one is computed here. InternalError when the
        fold refuses the mark.
        """
        if signer is None or signer.public not in root.mark_keys:
            return
        view = self._transaction.view
        last, ruler = view.record(MARK), view.record(ROOT)
        marked = 0 if last is None else parse_time(str(last.content["time"]))
        # The clock that a root replaces may have been wrong: only the first mark after a root may go back.
        may_go_back = last is None or ruler is None or last.index < ruler.index
        age = now - marked
        if age <= LIMITS.mark_after_seconds and not (may_go_back and age < 0):
            return
        least = 0 if may_go_back else marked
        time = format_time(max(now, least))
        body: JSONObject = {"time": time, "state": self._state(root.state_every, state_roots)}
        prev = None if last is None else last.digest
        statement = Statement(view.network or "", "put", MARK, MARK, prev, signer.public.keyid, time, body)
        envelope = sign(statement, [signer])
        verdict = judge(view, envelope, self._transaction.size, check=self._check)
        if isinstance(verdict, Void):
            raise InternalError(f"the log's own mark would be void: {verdict.reason}")
        self._place(envelope, verdict)
        self._marks += 1

    def _state(self, every: int, state_roots: dict[int, str]) -> JSONObject | None:
        """Return the state root due now: of the newest multiple of `every`, unless a mark carries it already."""
        size = self._transaction.size - self._transaction.size % every
        carried = int(self._transaction.meta(MARKED) or 0)
        if size <= carried:
            return None
        root = state_roots.get(size)
        if root is None:
            root = self._transaction.state(size).state_root()
        self._transaction.put_meta(MARKED, size)
        return {"size": size, "root": root}
