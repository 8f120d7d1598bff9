"""What a good note is (FORMATS 9): three lines, right origin, a log key open at that size, the quorum, no bad line of a known key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.checkpoint import Checkpoint, parse_checkpoint
from ledger.core.errors import BadSourceError, FormatError, SignatureError
from ledger.core.note import CLOCK_KIND, LOG_KIND, Line, VerifierKey, good_lines, line_time, parse_note, parse_vkey
from ledger.core.trust.findings import Finding
from ledger.core.trust.tenure import tenures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.root import Root
    from ledger.core.trust.roots import PlacedRoot

CLOCK_SUFFIX = "/clock"


@dataclass(frozen=True, slots=True)
class ClockLine:
    """A good line of the clock key `vkey`: at `time` the largest tree was that of the note."""

    vkey: str
    time: int


@dataclass(frozen=True, slots=True)
class GoodNote:
    """A note judged good: its bytes, its checkpoint, its good clock lines."""

    raw: bytes
    checkpoint: Checkpoint
    clock_lines: tuple[ClockLine, ...]

    @property
    def size(self) -> int:
        """Return the tree size it speaks of."""
        return self.checkpoint.size

    @property
    def time(self) -> int:
        """Return the time of its newest clock line; -1 if it has none."""
        return max((line.time for line in self.clock_lines), default=-1)


def parse_claim(raw: bytes) -> Checkpoint:
    """Return what a note claims, whoever signed it. BadSourceError if it is no note of three lines and at most 16 KiB."""
    try:
        return parse_checkpoint(parse_note(raw).text)
    except FormatError as error:
        raise BadSourceError(f"this is no checkpoint: {error.message}", finding=Finding.NO_CHECKPOINT) from error


def judge_good(raw: bytes, roots: Sequence[PlacedRoot]) -> GoodNote:
    """Return the note if it is good by `roots`, those of the larger of its tree and the replica's. BadSourceError if not.

    Origin, quorum and witnesses are those of the newest root below its size, log and clock keys those of the newest root.
    """
    checkpoint, note = parse_claim(raw), parse_note(raw)
    own = [placed.root for placed in roots if placed.index < checkpoint.size]
    if not own:
        raise BadSourceError(f"no root is known to stand in the tree of size {checkpoint.size}", finding=Finding.NO_KNOWN_ROOT)
    root = own[-1]
    if checkpoint.origin != root.origin:
        facts = {"finding": Finding.OTHER_NETWORK, "origin": checkpoint.origin, "expected": root.origin}
        raise BadSourceError("the note is of another origin", **facts)
    try:
        lines = good_lines(note, known_keys(placed.root for placed in roots))
    except SignatureError as error:
        raise BadSourceError(error.message, finding=Finding.BAD_LINE) from error
    if not _has_open_log_key(lines, roots, checkpoint):
        raise BadSourceError(f"no log key that is open at size {checkpoint.size} signed the note", finding=Finding.WRONG_KEY)
    clocks = _keys(roots[-1].root.clock_keys, CLOCK_KIND)
    if _count_witnesses(lines, root, [*clocks, *_keys(root.clock_keys, CLOCK_KIND)]) < root.quorum:
        raise BadSourceError(f"fewer than {root.quorum} witnesses signed the note", finding=Finding.TOO_FEW_WITNESSES)
    return GoodNote(raw, checkpoint, _clock_lines(lines, clocks, checkpoint.origin))


def known_keys(roots: Iterable[Root]) -> list[VerifierKey]:
    """Return every key that some root lists, once. What is no vkey of a known kind is passed over: the fold does not look at them."""
    found: dict[VerifierKey, None] = {}
    for root in roots:
        found.update(dict.fromkeys(_keys((listed.vkey for listed in root.log_keys), LOG_KIND)))
        found.update(dict.fromkeys(_keys((*root.clock_keys, *root.witnesses), CLOCK_KIND)))
    return list(found)


def _keys(vkeys: Iterable[str], kind: int) -> list[VerifierKey]:
    found = []
    for vkey in vkeys:
        try:
            key = parse_vkey(vkey)
        except FormatError:
            continue
        if key.kind == kind and key not in found:
            found.append(key)
    return found


def _has_open_log_key(lines: dict[VerifierKey, Line], roots: Sequence[PlacedRoot], checkpoint: Checkpoint) -> bool:
    listed = tenures(roots)
    signed = (listed.get(key.text) for key in lines if key.kind == LOG_KIND and key.name == checkpoint.origin)
    return any(tenure is not None and tenure.covers(checkpoint.size) for tenure in signed)


def _count_witnesses(lines: dict[VerifierKey, Line], root: Root, clocks: Iterable[VerifierKey]) -> int:
    """Count the public keys of the witnesses that signed. A clock key is no witness, under another name neither."""
    excluded = {key.public.raw for key in clocks}
    signed = {key.public.raw for key in _keys(root.witnesses, CLOCK_KIND) if key in lines}
    return len(signed - excluded)


def _clock_lines(lines: dict[VerifierKey, Line], clocks: Sequence[VerifierKey], origin: str) -> tuple[ClockLine, ...]:
    named = (key for key in clocks if key.name == origin + CLOCK_SUFFIX)
    return tuple(ClockLine(key.text, line_time(lines[key])) for key in named if key in lines)
