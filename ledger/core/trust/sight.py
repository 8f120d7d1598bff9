"""Steps 1 to 5: a note came. See the package docstring for the steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.core.errors import BadSourceError, InternalError
from ledger.core.trust.alarms import differing, ends, evidence_of, extensions, find_rollback, record_lines, split_view
from ledger.core.trust.findings import Finding, finding_of
from ledger.core.trust.good import GoodNote, judge_good, parse_claim
from ledger.core.trust.roots import PlacedRoot, pairs, parse_next_root, place_fetched
from ledger.core.trust.verdicts import (
    BadNote,
    BadSource,
    Behind,
    Current,
    Fetch,
    FetchAll,
    Judged,
    NeedRoot,
    Pending,
    Rollback,
    SplitView,
    Ticket,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.trust.roots import Continues, ReplicaView
    from ledger.core.trust.state import TrustState


@dataclass(frozen=True, slots=True)
class _Case:
    """One note before one replica at one moment."""

    state: TrustState
    view: ReplicaView
    ticket: Ticket
    now: int

    @property
    def known(self) -> Sequence[PlacedRoot]:
        return self.view.roots()[: self.ticket.known]

    @property
    def is_forked(self) -> bool:
        """Tell whether the fetched roots stand in the place of some that the replica holds."""
        return self.ticket.known < len(self.view.roots())


def judge_note(state: TrustState, view: ReplicaView, raw: bytes, source: str, now: int) -> Judged:
    """Judge the bytes of a note that `source` showed at `now`. Never raises for hostile bytes."""
    try:
        claim = parse_claim(raw)  # 1
    except BadSourceError as error:
        return Judged(state, _bad(error))
    ticket = Ticket(raw, source, view.size, _base(view), len(view.roots()))
    if any((one.size, one.root) == (claim.size, claim.root.hex()) for one in state.refused):
        return Judged(state, BadSource(evidence_of(ticket, (Finding.REFUSED_TREE, "the operator refused this tree"), now)))
    return _consider(_Case(state, view, ticket, now))


def judge_root(state: TrustState, view: ReplicaView, step: NeedRoot, raw: bytes | None, now: int) -> Judged:
    """Judge on with the root that the source gave (None: it has none). InternalError if the replica moved meanwhile."""
    ticket = step.ticket
    if (view.size, _base(view)) != (ticket.size, ticket.base):
        raise InternalError("the replica moved while a note was being judged")
    case = _Case(state, view, ticket, now)
    before = ticket.fetched[-1] if ticket.fetched else case.known[-1] if case.known else None
    root = None if raw is None else parse_next_root(raw, before, state.network)
    if root is None:
        return _without_more_roots(case)
    if not ticket.fetched and case.is_forked and root.digest == view.roots()[ticket.known].digest:
        return _without_more_roots(replace(case, ticket=replace(ticket, known=1)))  # they are the source's too, and further down as well
    return _consider(replace(case, ticket=replace(ticket, fetched=(*ticket.fetched, root))))


def _base(view: ReplicaView) -> bytes:
    root = view.root_at(view.size)
    if root is None:
        raise InternalError("a replica knows the root of its own size")
    return root


def _consider(case: _Case) -> Judged:
    """Step 2, with the roots that are known by now; step 3 when they are not enough."""
    ticket = case.ticket
    placed = place_fetched(case.known, ticket.fetched, parse_claim(ticket.note).size)
    if placed is None:
        return Judged(case.state, BadNote("the roots that came with it do not fit into its tree", Finding.BAD_ROOTS))
    note = _good(ticket.note, placed)  # 2
    if isinstance(note, BadNote) or _waits(case, note, placed):
        return Judged(case.state, NeedRoot(ticket, ticket.known + len(ticket.fetched) + 1))  # 3
    return _compare(case, note, placed)


def _good(raw: bytes, roots: Sequence[PlacedRoot]) -> GoodNote | BadNote:
    try:
        return judge_good(raw, roots)
    except BadSourceError as error:
        return _bad(error)


def _bad(error: BadSourceError) -> BadNote:
    return BadNote(error.message, finding_of(error, Finding.NO_CHECKPOINT))


def _new_continues(case: _Case, placed: Sequence[PlacedRoot]) -> Continues | None:
    """Return the first new `continues` among the fetched roots: when a log was lost more than once, it names the smallest size."""
    return next((new for _, new in pairs(placed)[case.ticket.known :] if new is not None), None)


def _waits(case: _Case, note: GoodNote, placed: Sequence[PlacedRoot]) -> bool:
    """Tell whether the sync is stopped and the roots so far do not end every alarm."""
    if note.size <= case.view.size:
        return False
    continued = _new_continues(case, placed) is not None
    return not all(ends(alarm, placed[-1].root, continued=continued) for alarm in case.state.alarms)


def _without_more_roots(case: _Case) -> Judged:
    """Step 3 ends: the source has no root that follows. Look below own roots once, for a log that was continued there."""
    ticket, claim = case.ticket, parse_claim(case.ticket.note)
    note = _good(ticket.note, case.view.roots())
    if isinstance(note, GoodNote):
        return _keep_waiting(case, note)
    if ticket.fetched or ticket.known <= 1:
        return Judged(case.state, BadNote(f"size {claim.size}: {note.reason}", note.finding))
    return Judged(case.state, NeedRoot(replace(ticket, known=ticket.known - 1), ticket.known))


def _keep_waiting(case: _Case, note: GoodNote) -> Judged:
    roots = case.view.roots()
    return _ahead(replace(case, ticket=replace(case.ticket, fetched=(), known=len(roots))), note, roots, may_fetch=False)


def _compare(case: _Case, note: GoodNote, placed: Sequence[PlacedRoot]) -> Judged:
    """Step 4: what a good note means at this replica."""
    view, ticket = case.view, case.ticket
    continued = _new_continues(case, placed)
    if continued is not None and continued.size < view.size:
        if _may_go_back(view, continued):
            return Judged(case.state, Fetch(ticket, continued.size, note.size))
        return Judged(case.state, FetchAll(ticket, note.size, min(note.size, view.size)))
    if case.is_forked:
        return Judged(case.state, _fetch_all(case, note))
    if note.size > view.size:
        return _ahead(case, note, placed, may_fetch=True)
    if not ticket.fetched:
        return _known_size(case, note)
    if view.root_at(note.size) == note.checkpoint.root:
        found = Finding.ROOT_NOT_IN_LOG, "its tree lacks a root that came with it"
        return Judged(case.state, BadSource(evidence_of(ticket, found, case.now)))
    return Judged(case.state, _fetch_all(case, note))


def _may_go_back(view: ReplicaView, continued: Continues) -> bool:
    """Tell whether the replica shares the tree that is continued, and followed no other continuation above it.

    Of two roots of one version that both continue, none is the later one: only an operator can tell.
    """
    followed = any(new is not None and placed.index >= continued.size for placed, new in pairs(view.roots()))
    return view.root_at(continued.size) == continued.root and not followed


def _fetch_all(case: _Case, note: GoodNote) -> FetchAll:
    """Return the step that compares whole trees: up to where both end, or to where the replica's log left a lost order."""
    ticket, at = case.ticket, min(note.size, case.view.size)
    left = next((new for _, new in pairs(case.view.roots())[ticket.known : ticket.known + 1] if new is not None), None)
    return FetchAll(ticket, note.size, at if left is None else min(at, left.size))


def _ahead(case: _Case, note: GoodNote, placed: Sequence[PlacedRoot], *, may_fetch: bool) -> Judged:
    """Step 5: keep the note, then fetch, unless a clock key went back or the sync is stopped.

    Lines that only a fetched root lets count are compared when the note is taken: that root may not be in the log.
    """
    state = case.state.keep_pending(_to_keep(case, note, placed))
    if not case.ticket.fetched:
        alarm = find_rollback(state, note, case.ticket, case.now)
        if alarm is not None:
            return Judged(state.with_alarm(alarm), Rollback(alarm))
        state = record_lines(state, note, held=False)
    return Judged(state, Fetch(case.ticket, case.view.size, note.size) if may_fetch else Pending(note.size))


def _to_keep(case: _Case, note: GoodNote, placed: Sequence[PlacedRoot]) -> list[GoodNote]:
    """Return which notes of this tree to keep: the one with the latest line, and the earliest too if no line can be recorded yet."""
    kept = (_good(raw, placed) for raw in case.state.pending if parse_claim(raw) == note.checkpoint)
    same = sorted([*(one for one in kept if isinstance(one, GoodNote)), note], key=lambda one: one.time)
    return [same[0], same[-1]] if case.ticket.fetched else same[-1:]


def _known_size(case: _Case, note: GoodNote) -> Judged:
    """Step 4 for a size that the replica has reached, by the replica's own roots."""
    ours, claim = case.view.root_at(note.size), note.checkpoint
    if ours is None:
        return Judged(case.state, Behind(note.size, compared=False))
    rollback = find_rollback(case.state, note, case.ticket, case.now)
    state = case.state if rollback is None else case.state.with_alarm(rollback)
    if ours != claim.root:
        notes = (case.ticket.note, *(() if state.note is None else (state.note,)))
        finding = Finding.SMALLER_TREE if claim.size < case.view.size else Finding.SECOND_TREE
        found = finding, f"two trees of size {claim.size}"
        evidence = evidence_of(case.ticket, found, case.now, differing(claim.size, ours, claim.root))
        shown = extensions(case.view, claim.size, state.note)
        alarm = split_view(replace(evidence, notes=notes, extensions=shown), claim.size, claim.root)
        return Judged(state.with_alarm(alarm), SplitView(alarm))
    if rollback is not None:
        return Judged(state, Rollback(rollback))
    state = record_lines(state, note, held=True)
    if note.size < case.view.size:
        return Judged(state, Behind(note.size))
    kept = None if state.note is None else _good(state.note, case.known)
    renewed = not isinstance(kept, GoodNote) or note.time > kept.time
    return Judged(replace(state, note=note.raw) if renewed else state, Current(renewed))
