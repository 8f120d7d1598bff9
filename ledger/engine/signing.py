"""What the sequencer signs with, and at which time (FORMATS 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import NotReadyError
from ledger.core.limits import LIMITS
from ledger.core.note import CLOCK_KIND, LOG_KIND, Note, VerifierKey, clock_line, log_line
from ledger.core.root import parse_root
from ledger.core.trust.roots import PlacedRoot
from ledger.core.trust.tenure import tenures

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from ledger.core.note import Line
    from ledger.core.ports import Clock, Signer
    from ledger.core.root import Root
    from ledger.core.trust.tenure import Tenure


@dataclass(frozen=True, slots=True)
class SequencerKeys:
    """The private keys of a log. Those that the root in force does not name are not used.

    `reload` gives the keys that are held now, for a root that names others than these.
    """

    log: tuple[Signer, ...]
    clock: Signer | None = None
    mark: Signer | None = None
    reload: Callable[[Root], SequencerKeys | None] | None = field(default=None, compare=False, repr=False)

    def lacks(self, root: Root) -> bool:
        """Tell whether `root` names a key in use that is not among these."""
        held = {log_vkey(root.origin, signer) for signer in self.log}
        log = any(listed.until is None and listed.vkey not in held for listed in root.log_keys)
        clock = self.clock is None or clock_vkey(root.origin, self.clock) not in root.clock_keys
        mark = self.mark is None or self.mark.public not in root.mark_keys
        return log or (clock and bool(root.clock_keys)) or (mark and bool(root.mark_keys))

    @property
    def clock_fact(self) -> str:
        """Return the name under which the store keeps the newest time of a clock line that may have left. Each clock key has its own."""
        return "clock" if self.clock is None else f"clock {self.clock.public.keyid[:16]}"


class Witnesses(Protocol):
    """Gets the lines of witnesses for a note. Asked for one note at a time, sizes ascending."""

    async def cosign(self, note: Note) -> tuple[Line, ...]:
        """Return witness lines over the note, as many as the quorum wants. UnavailableError if there are fewer."""
        ...


def clock_name(origin: str) -> str:
    """Return the name of a log's clock key."""
    return f"{origin}/clock"


def log_vkey(origin: str, signer: Signer) -> str:
    """Return the vkey of a log key, as it stands in a root."""
    return VerifierKey(origin, LOG_KIND, signer.public).text


def clock_vkey(origin: str, signer: Signer) -> str:
    """Return the vkey of a clock key, as it stands in a root."""
    return VerifierKey(clock_name(origin), CLOCK_KIND, signer.public).text


def placed_roots(connection: apsw.Connection) -> list[PlacedRoot]:
    """Return the accepted roots of the stored log, version 1 first."""
    rows = connection.execute("SELECT from_index, digest, body FROM version WHERE id='root' ORDER BY place")
    return [PlacedRoot(index, digest, parse_root(orjson.loads(body))) for index, digest, body in rows]


@dataclass(frozen=True, slots=True)
class _Pen:
    """A log key of this home: when it is open, and what its lines call it."""

    signer: Signer
    tenure: Tenure
    key_id: bytes


class NoteSigner:
    """Makes the lines of this log's notes, by the roots that stand in it."""

    def __init__(self, keys: SequencerKeys) -> None:
        self.keys = keys
        self._roots: list[PlacedRoot] = []
        self._pens: list[_Pen] = []
        self._clock_id: bytes | None = None

    @property
    def roots(self) -> list[PlacedRoot]:
        """Return the roots that the lines are made by, version 1 first."""
        return self._roots

    @roots.setter
    def roots(self, roots: list[PlacedRoot]) -> None:
        self._roots = roots
        self._pens, self._clock_id = [], None
        if not roots:
            return
        root, open_keys = roots[-1].root, tenures(roots)
        for signer in self.keys.log:
            key = VerifierKey(root.origin, LOG_KIND, signer.public)
            tenure = open_keys.get(key.text)
            if tenure is not None:
                self._pens.append(_Pen(signer, tenure, key.key_id))
        if self.keys.clock is not None:
            clock = VerifierKey(clock_name(root.origin), CLOCK_KIND, self.keys.clock.public)
            self._clock_id = clock.key_id if clock.text in root.clock_keys else None

    @property
    def root(self) -> Root:
        """Return the root in force. NotReadyError before there is one: nothing is signed before index 0 stands."""
        if not self.roots:
            raise NotReadyError("the log has no root yet", advice="Make the network first.")
        return self.roots[-1].root

    def learn(self, connection: apsw.Connection) -> None:
        """Read the roots of the stored log: at start, and after a root or a roll-back. Keys that came since are taken up."""
        roots = placed_roots(connection)
        if roots and self.keys.reload is not None and self.keys.lacks(roots[-1].root):
            self.keys = self.keys.reload(roots[-1].root) or self.keys
        self.roots = roots

    def can_sign(self, size: int) -> bool:
        """Tell whether this home could sign a tree of that size: the log still orders by itself and holds a log key open then."""
        return self.root.order["type"] == "log" and bool(self._open(size))

    def _open(self, size: int) -> list[_Pen]:
        return [pen for pen in self._pens if pen.tenure.covers(size)]

    def log_note(self, size: int, root_hash: bytes) -> Note:
        """Return the checkpoint of a tree, signed with every log key held that is open at its size. NotReadyError if none is."""
        origin = self.root.origin
        text = Checkpoint(origin, size, root_hash).text
        lines = tuple(log_line(text, origin, pen.signer, pen.key_id) for pen in self._open(size))
        if not lines:
            raise NotReadyError(f"no log key of this home is open at size {size}", advice="Give this home the log key that the root names.")
        return Note(text, lines)

    def with_clock(self, note: Note, time: int) -> Note:
        """Return the note with the clock line, last; as it is when the root names no clock key of this home."""
        origin, signer = self.root.origin, self.keys.clock
        if signer is None or self._clock_id is None:
            return note
        return note.with_lines(clock_line(note.text, clock_name(origin), signer, time, self._clock_id))


class GuardedClock:
    """Wall time that is safe to sign: it never goes back, and does not follow a jump ahead of the monotonic clock."""

    def __init__(self, clock: Clock, last: int = 0) -> None:
        """Start from what the wall clock says, but not below `last`, the newest time that left."""
        self._clock = clock
        self._last = last
        self._offset = clock.now() - clock.monotonic()
        self.suspect = False

    def time(self) -> int:
        """Return the time to sign now. After a jump ahead of more than 300 s it follows the monotonic clock, until `confirm`."""
        wall, expected = self._clock.now(), self._clock.monotonic() + self._offset
        self.suspect = wall - expected > LIMITS.clock_jump_seconds
        if not self.suspect:
            # Only upwards: a wall clock that went back and is put right again has not jumped ahead.
            self._offset += max(0.0, wall - expected)
        self._last = max(self._last, int(expected if self.suspect else wall))
        return self._last

    def confirm(self) -> None:
        """Follow the wall clock again: an operator, or a witness's time, says that it is right."""
        self._offset = self._clock.now() - self._clock.monotonic()

    def raise_to(self, least: int) -> None:
        """Never answer less than `least`, a time found in a line that left."""
        self._last = max(self._last, least)
