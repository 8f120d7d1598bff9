"""Steps 6 to 14: the entries of a note came. See the package docstring for the steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.core.errors import BadSourceError, InternalError
from ledger.core.trust.alarms import differing, end_by_root, evidence_of, extensions, find_rollback, record_lines, split_view
from ledger.core.trust.evidence import Alarm, AlarmKind, TreeHash, WentBack
from ledger.core.trust.findings import Finding, finding_of
from ledger.core.trust.good import GoodNote, judge_good, parse_claim
from ledger.core.trust.roots import pairs
from ledger.core.trust.verdicts import BadNote, BadSource, Fetch, FetchAll, Judged, Pending, Rollback, SplitView, Taken, Ticket

if TYPE_CHECKING:
    from ledger.core.checkpoint import Checkpoint
    from ledger.core.trust.roots import Continues, PlacedRoot, ReplicaView
    from ledger.core.trust.state import TrustState
    from ledger.core.trust.tree import TreeCheck


@dataclass(frozen=True, slots=True)
class _Case:
    """The entries of one note, applied in a transaction that is still open."""

    state: TrustState
    after: ReplicaView
    step: Fetch
    now: int

    @property
    def ticket(self) -> Ticket:
        return self.step.ticket

    @property
    def claim(self) -> Checkpoint:
        return parse_claim(self.ticket.note)


def judge_mismatch(state: TrustState, step: Fetch, now: int) -> Judged:
    """Step 6 without a transaction: the entries fetched, after the replica's own, do not make the root of the note."""
    if step.start == 0:
        found = Finding.OTHER_ENTRIES, "its entries do not make its root"
        return Judged(_forget(state, step.ticket), BadSource(evidence_of(step.ticket, found, now)))
    return Judged(state, FetchAll(step.ticket, step.end, min(step.ticket.size, step.end)))


def judge_entries(state: TrustState, after: ReplicaView, step: Fetch, now: int) -> Judged:
    """Judge the note again, by the roots that stand in the entries; `after` is the replica inside the open transaction.

    `Taken`: commit the transaction with the state. Anything else: undo it, then store the state alone.
    InternalError if `after` is not what the step asked for.
    """
    case = _Case(state, after, step, now)
    if after.size != step.end or (step.start == step.ticket.size and after.root_at(step.start) != step.ticket.base):
        raise InternalError("the transaction does not hold the entries that were asked for")
    if after.root_at(step.end) != case.claim.root:  # 6
        return judge_mismatch(state, step, now)
    fault = _fault_of_roots(case)
    if fault is not None:
        return Judged(_forget(state, case.ticket), BadSource(evidence_of(case.ticket, fault, now)))
    try:
        note = judge_good(case.ticket.note, after.roots())  # 9
    except BadSourceError as error:
        return Judged(
            _forget(state, case.ticket), BadNote(f"by the roots in its own entries: {error.message}", finding_of(error, Finding.BAD_ROOTS))
        )
    return _take(case, note)


def judge_tree(state: TrustState, view: ReplicaView, check: TreeCheck, now: int) -> Judged:
    """Step 14: tell by the whole tree of the source whether there are two views, or the source is bad."""
    ticket, claim = check.ticket, parse_claim(check.ticket.note)
    at, ours, theirs = check.at, view.root_at(check.at), check.root_at(check.at)
    if not check.is_whole or ours is None or theirs is None or ours == theirs:
        found = Finding.OTHER_ENTRIES, "it cannot show the tree of its note"
        return Judged(_forget(state, ticket), BadSource(evidence_of(ticket, found, now)))
    if any(_is_refused(one, check.root_at(one.size)) for one in state.refused):
        found = Finding.REFUSED_TREE, "the operator refused this tree"
        return Judged(_unsee(_forget(state, ticket), ticket), BadSource(evidence_of(ticket, found, now)))
    reason = f"two trees, different at size {at}"
    words = f"{reason}: {check.difference}" if check.difference else reason
    evidence = evidence_of(ticket, (check.finding, words), now, differing(at, ours, theirs))
    notes = (ticket.note, *(() if state.note is None else (state.note,)))
    alarm = split_view(replace(evidence, notes=notes, receipts=check.receipts()), claim.size, claim.root)
    return Judged(state.with_alarm(alarm), SplitView(alarm))


def _is_refused(refused: TreeHash, root: bytes | None) -> bool:
    return root is not None and root.hex() == refused.root


def _forget(state: TrustState, ticket: Ticket) -> TrustState:
    """Return the state without the ticket's note among those to compare later: it proved to be nobody's tree."""
    return replace(state, pending=tuple(raw for raw in state.pending if raw != ticket.note))


def _unsee(state: TrustState, ticket: Ticket) -> TrustState:
    """Return the state without the clock lines of a note of a refused tree: they contradict nothing that is followed."""
    return replace(state, clocks=tuple(one.without(ticket.note) for one in state.clocks))


def _new_roots(case: _Case) -> list[tuple[PlacedRoot, Continues | None]]:
    return [(placed, new) for placed, new in pairs(case.after.roots()) if placed.index >= case.step.start]


def _fault_of_roots(case: _Case) -> tuple[Finding, str] | None:
    """Say what is wrong with the roots that the entries hold, if anything (steps 7 and 8)."""
    after, found = case.after, _new_roots(case)
    if not {one.digest for one in case.ticket.fetched} <= {placed.digest for placed, _ in found}:  # 7
        return Finding.ROOT_NOT_IN_LOG, "its entries lack a root that came with it"
    if any(one.size <= after.size and _is_refused(one, after.root_at(one.size)) for one in case.state.refused):
        return Finding.REFUSED_TREE, "the operator refused this tree"
    for placed, new in found:  # 8
        if new is not None and (placed.index != new.size or after.root_at(new.size) != new.root):
            return Finding.MISPLACED_ROOT, f"root {placed.root.version} does not stand where it says that the log continues"
    return None


def _take(case: _Case, note: GoodNote) -> Judged:
    """Take the note if nothing seen before speaks against it (steps 10 to 13)."""
    newest = case.after.roots()[-1].root
    continued = next((new for _, new in _new_roots(case) if new is not None), None)
    state = case.state.keep_clocks(newest.clock_keys)
    if continued is not None:
        state = replace(state, clocks=tuple(one.cut(continued.size) for one in state.clocks))
    rollback = find_rollback(state, note, case.ticket, case.now)  # 10
    if rollback is not None:
        return Judged(case.state.with_alarm(rollback), Rollback(rollback))
    compared = _compare_pending(case, record_lines(state, note, held=True))  # 11
    if isinstance(compared, Alarm):
        verdict = SplitView(compared) if compared.kind is AlarmKind.SPLIT_VIEW else Rollback(compared)
        return Judged(case.state.with_alarm(compared), verdict)
    state, reached = compared
    latest = max([note, *(one for one in reached if one.size == note.size)], key=lambda one: one.time)
    state = end_by_root(state, newest, case.now, continued=continued is not None)  # 12
    if state.stopped:
        return Judged(case.state, Pending(note.size))
    old = case.ticket.size if case.step.start < case.ticket.size else None  # 13
    if old is not None:
        back = WentBack(old, case.step.start, newest.version, case.now)
        state = replace(state, went_back=(*state.went_back, back))
    return Judged(replace(state, note=latest.raw), Taken(note.size, old))


def _compare_pending(case: _Case, state: TrustState) -> tuple[TrustState, list[GoodNote]] | Alarm:
    """Step 11: compare each kept note that is reached now, and the clock lines of all, by the roots that are in the log now.

    Return the state that keeps what is not reached, and the notes that this tree confirms.
    """
    later: list[bytes] = []
    reached: list[GoodNote] = []
    for raw in state.pending:
        claim = parse_claim(raw)
        is_reached = claim.size <= case.after.size
        if not is_reached:
            later.append(raw)
        try:
            note = judge_good(raw, case.after.roots())
        except BadSourceError:
            continue
        ours = case.after.root_at(claim.size)
        ticket = replace(case.ticket, note=raw, fetched=())
        if is_reached and ours is not None and ours != claim.root:
            finding = Finding.SMALLER_TREE if claim.size < case.after.size else Finding.SECOND_TREE
            found = finding, f"two trees of size {claim.size}"
            evidence = evidence_of(ticket, found, case.now, differing(claim.size, ours, claim.root))
            shown = extensions(case.after, claim.size, case.ticket.note)
            return split_view(replace(evidence, notes=(raw, case.ticket.note), extensions=shown), claim.size, claim.root)
        rollback = find_rollback(state, note, ticket, case.now)
        if rollback is not None:
            return rollback
        state = record_lines(state, note, held=is_reached)
        if is_reached:
            reached.append(note)
    return replace(state, pending=tuple(later)), reached
