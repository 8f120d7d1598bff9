"""How alarms begin and how they end (FORMATS 9: rollback by a root without that clock key, split view by `continues` or an operator)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.core.errors import NotFoundError, UsageError
from ledger.core.trust.clocks import Stamp
from ledger.core.trust.evidence import Alarm, AlarmKind, EndedAlarm, Evidence, Extension, Origin, TreeHash, Way
from ledger.core.trust.findings import Finding
from ledger.core.trust.good import parse_claim
from ledger.core.trust.state import TrustState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.root import Root
    from ledger.core.trust.good import ClockLine, GoodNote
    from ledger.core.trust.roots import ReplicaView
    from ledger.core.trust.verdicts import Ticket


def evidence_of(ticket: Ticket, found: tuple[Finding, str], now: int, hashes: Iterable[TreeHash] = ()) -> Evidence:
    """Return what a ticket proves by itself: its note and the roots fetched for it. `found` is what, and in words."""
    finding, reason = found
    roots = tuple(one.entry for one in ticket.fetched)
    return Evidence(reason, ticket.source, now, (ticket.note,), roots, tuple(hashes), finding=finding)


def split_view(evidence: Evidence, size: int, root: bytes) -> Alarm:
    """Return the alarm for another tree, `root` at `size`."""
    return Alarm(AlarmKind.SPLIT_VIEW, f"{size} {root.hex()}", evidence)


def differing(size: int, ours: bytes, theirs: bytes) -> tuple[TreeHash, TreeHash]:
    """Return the two hashes at `size`, the replica's first."""
    return TreeHash(Origin.REPLICA, size, ours.hex()), TreeHash(Origin.SOURCE, size, theirs.hex())


def find_rollback(state: TrustState, note: GoodNote, ticket: Ticket, now: int) -> Alarm | None:
    """Return the alarm if a clock line of `note` contradicts one seen before, each key compared with itself only."""
    for line in note.clock_lines:
        seen = state.clock(line.vkey).contradiction(note.size, line.time)
        if seen is not None:
            found = Finding.CLOCK_WENT_BACK, f"the clock key went back at size {note.size}"
            return _rollback(line, seen, evidence_of(ticket, found, now))
    return None


def extensions(view: ReplicaView, old: int, note: bytes | None) -> tuple[Extension, ...]:
    """Return what shows that the tree that `note` signs, which `view` holds, is that of `view` at size `old`."""
    root = view.root_at(old)
    if note is None or root is None or not 0 < old < (new := parse_claim(note).size) <= view.size:
        return ()
    hashes = tuple(one.hex() for one in view.extension(old, new))
    return (Extension(old, root.hex(), new, hashes),) if hashes else ()


def _rollback(line: ClockLine, seen: Stamp, evidence: Evidence) -> Alarm:
    return Alarm(AlarmKind.ROLLBACK, line.vkey, replace(evidence, notes=(seen.note, *evidence.notes)))


def record_lines(state: TrustState, note: GoodNote, *, held: bool) -> TrustState:
    """Return the state with the clock lines of `note` recorded; `held` when the replica holds that tree."""
    for line in note.clock_lines:
        history = state.clock(line.vkey).record(note.size, Stamp(line.time, note.raw))
        state = state.with_clock(history.hold(line.time) if held else history)
    return state


def ends(alarm: Alarm, newest: Root, *, continued: bool) -> bool:
    """Tell whether the newest root ends `alarm`; `continued` when a new `continues` came since the replica's size."""
    if alarm.kind is AlarmKind.ROLLBACK:
        return alarm.subject not in newest.clock_keys
    return continued


def end_by_root(state: TrustState, newest: Root, now: int, *, continued: bool) -> TrustState:
    """Return the state without the alarms that this root ends."""
    way = Way.CONTINUES if continued else Way.ROOT
    return state.end_alarms(
        EndedAlarm(alarm, way, f"root {newest.version}", now) for alarm in state.alarms if ends(alarm, newest, continued=continued)
    )


def keep_own(state: TrustState, name: str, words: str, now: int) -> TrustState:
    """Return the state after the operator decided against the other tree of a split view; `words` say who and why.

    That tree is refused without an alarm from now on; notes and clock lines beyond where the trees were compared are
    forgotten, for some may be of it. NotFoundError without such an alarm, UsageError for a rollback.
    """
    alarm = _split_view_named(state, name)
    refused = [one for one in alarm.evidence.hashes if one.whose is Origin.SOURCE]
    size, root = alarm.subject.split()
    refused.append(TreeHash(Origin.SOURCE, int(size), root))
    known = tuple(dict.fromkeys((*state.refused, *refused)))
    clocks = tuple(one.cut(min(found.size for found in refused)) for one in state.clocks)
    state = state.end_alarms([EndedAlarm(alarm, Way.OPERATOR_KEPT_OWN, words, now)])
    return replace(state, refused=known, pending=(), clocks=clocks)


def take_other(state: TrustState, name: str, words: str, now: int) -> TrustState:
    """Return the state for an EMPTY replica after the operator decided against the tree held so far.

    There is no going back but by `continues`, so the replica begins afresh from the network id and refuses its old tree.
    NotFoundError and UsageError as `keep_own`.
    """
    chosen = _split_view_named(state, name)
    own = [one for one in chosen.evidence.hashes if one.whose is Origin.REPLICA]
    over = state.end_alarms(EndedAlarm(alarm, Way.OPERATOR_TOOK_OTHER, words, now) for alarm in state.alarms)
    return TrustState(state.network, ended=over.ended, refused=tuple(dict.fromkeys((*state.refused, *own))))


def acknowledge(state: TrustState) -> TrustState:
    """Return the state after the operator saw that the replica went back."""
    return replace(state, went_back=())


def _split_view_named(state: TrustState, name: str) -> Alarm:
    alarm = next((one for one in state.alarms if one.name == name), None)
    if alarm is None:
        raise NotFoundError(f"there is no alarm {name}")
    if alarm.kind is AlarmKind.ROLLBACK:
        raise UsageError("a rollback ends only by a root that lists that clock key no more")
    return alarm
