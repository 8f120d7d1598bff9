"""TrustState: everything the trust rules remember between notes. A replica stores it in the transaction that stores entries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.core.errors import CorruptError
from ledger.core.limits import LIMITS
from ledger.core.trust import codec
from ledger.core.trust.clocks import ClockHistory
from ledger.core.trust.evidence import Alarm, EndedAlarm, TreeHash, WentBack  # noqa: TC001 - the codec reads the annotations
from ledger.core.trust.good import GoodNote, parse_claim

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

VERSION = 1
KEPT_ALARMS = 16


@dataclass(frozen=True, slots=True)
class TrustState:
    """What a replica of the network `network` knows about its log besides the entries.

    `note` is the note served on: good, of the tree held, with the latest clock line. `pending` holds good notes of
    trees not reached yet, `alarms` what stops the sync, `refused` the trees an operator decided against.
    """

    network: str
    note: bytes | None = None
    pending: tuple[bytes, ...] = ()
    clocks: tuple[ClockHistory, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    ended: tuple[EndedAlarm, ...] = ()
    went_back: tuple[WentBack, ...] = ()
    refused: tuple[TreeHash, ...] = ()
    version: int = VERSION

    @property
    def stopped(self) -> bool:
        """Tell whether no entries may be taken. Answers go on."""
        return bool(self.alarms)

    def to_json(self) -> str:
        """Return the state as JSON text."""
        return codec.write(self)

    @classmethod
    def from_json(cls, text: str) -> TrustState:
        """Return the state that `to_json` wrote. CorruptError for anything else."""
        state = codec.read(cls, text)
        if state.version != VERSION:
            raise CorruptError(f"the stored trust state has version {state.version}, not {VERSION}")
        return state

    def clock(self, vkey: str) -> ClockHistory:
        """Return the history of a clock key, empty if nothing was seen."""
        return next((one for one in self.clocks if one.vkey == vkey), ClockHistory(vkey))

    def with_clock(self, history: ClockHistory) -> TrustState:
        """Return the state with this history in place of that of the same key."""
        return replace(self, clocks=(*(one for one in self.clocks if one.vkey != history.vkey), history))

    def keep_clocks(self, vkeys: Container[str]) -> TrustState:
        """Return the state with the histories of these keys only."""
        return replace(self, clocks=tuple(one for one in self.clocks if one.vkey in vkeys))

    def keep_pending(self, notes: Sequence[GoodNote]) -> TrustState:
        """Return the state with these notes of one tree to compare later, in place of others of that tree: the 16 largest."""
        others = [raw for raw in self.pending if parse_claim(raw) != notes[0].checkpoint]
        own = dict.fromkeys(note.raw for note in notes)
        ordered = sorted([*others, *own], key=lambda raw: parse_claim(raw).size)
        return replace(self, pending=tuple(ordered[-LIMITS.kept_notes :]))

    def with_alarm(self, alarm: Alarm) -> TrustState:
        """Return the state stopped by one more alarm; of one subject the first is kept, and 16 in all."""
        if len(self.alarms) >= KEPT_ALARMS or alarm.name in {one.name for one in self.alarms}:
            return self
        return replace(self, alarms=(*self.alarms, alarm))

    def end_alarms(self, endings: Iterable[EndedAlarm]) -> TrustState:
        """Return the state with these alarms over and on record, the newest 16."""
        over = tuple(endings)
        names = {one.alarm.name for one in over}
        left = tuple(one for one in self.alarms if one.name not in names)
        return replace(self, alarms=left, ended=(*self.ended, *over)[-KEPT_ALARMS:])
