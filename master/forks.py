"""The fork guard's door: `POST /v1/checkpoints`, a checkpoint signed by this log that the master may not know.

Whoever holds a note of a larger tree, or of another tree of the same size, proves by it that this master runs on an old
backup, or that its key signed elsewhere. Then nothing is signed any more; reading goes on. A note without a good line of a
log key that is open now counts for nothing: a key that was given up, stolen ones among them, says nothing of the present end.
Keys that this master does not know yet count by the roots that are presented with the note: the admins signed them.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import FormatError, SignatureError
from ledger.core.fold import present_root
from ledger.core.limits import KIB, LIMITS
from ledger.core.merkle import tree_root
from ledger.core.note import CLOCK_KIND, LOG_KIND, good_lines, line_time, parse_note, parse_vkey
from ledger.core.trust.roots import parse_next_root
from ledger.core.trust.tenure import tenures
from ledger.engine.signing import placed_roots
from ledger.home.files import write_file
from ledger.http.call import Call, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from aiohttp import web

    from ledger.core.note import Note, VerifierKey
    from ledger.core.root import Root
    from ledger.core.trust.roots import FetchedRoot, PlacedRoot
    from ledger.engine.snapshot import Snapshot
    from ledger.http.log_routes import Reads

NOTE_TYPE = "text/plain"
MOST_ROOTS = 16
ROOTS_BYTES = 128 * KIB


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a good note says beside our log: our origin and size, our own newest note, whether the note fits, its newest good clock line."""

    origin: str
    size: int
    ours: bytes | None
    fits: bool
    clock: int = 0


class ForkRoutes:
    """Serves the fork guard. `alarm` stops the signing, with the reason and what was found."""

    def __init__(self, reads: Reads, alarm: Callable[[str, Comparison], Awaitable[None]], evidence: Path) -> None:
        self._reads = reads
        self._alarm = alarm
        self._evidence = evidence

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        text = "A checkpoint signed by this log that the master may not know (fork guard)."
        return (Route("POST", "/v1/checkpoints", self.present, text, takes=(NOTE_TYPE,)),)

    async def present(self, call: Call) -> web.Response:
        """Answer whether the checkpoint is one of this log as it stands; if not, stop signing."""
        raw, roots = parse_presented(await call.body(NOTE_TYPE, cap=LIMITS.note + ROOTS_BYTES))
        found = await self.weigh(raw, roots)
        return json_response({"known": found.fits, "size": found.size})

    async def weigh(self, raw: bytes, roots: Sequence[bytes] = ()) -> Comparison:
        """Compare a note, wherever it was found, with the log as it stands; if it does not fit, stop signing. Raises as `compare`."""
        note = parse_note(raw)
        said = parse_checkpoint(note.text)
        found = await self._reads.read(lambda snapshot: compare(snapshot, note, roots))
        if not found.fits:
            reason = f"a checkpoint of size {said.size}, signed by this log, does not fit the log of size {found.size}"
            await asyncio.to_thread(self._keep, note.text, raw, found.ours)
            await self._alarm(reason, found)
        return found

    def _keep(self, claim: str, theirs: bytes, ours: bytes | None) -> None:
        """Keep one case once, however its note is dressed: whoever has it could fill the disk with copies."""
        name = hashlib.sha256(claim.encode()).hexdigest()[:16]
        presented = self._evidence / f"fork-{name}-presented.note"
        if presented.exists():
            return
        self._evidence.mkdir(mode=0o700, exist_ok=True)
        write_file(presented, theirs)
        if ours is not None:
            write_file(self._evidence / f"fork-{name}-own.note", ours)


def parse_presented(body: bytes) -> tuple[bytes, list[bytes]]:
    """Return the note and the root entries behind it: base64, a line each, after an empty line. FormatError for another form."""
    text, *signed = body.split(b"\n\n", 2)
    if len(signed) < 2:  # noqa: PLR2004 - the lines of the note, and the roots
        return body, []
    lines = signed[1].split()
    if len(lines) > MOST_ROOTS:
        raise FormatError(f"more than {MOST_ROOTS} roots are presented")
    try:
        return b"\n\n".join((text, signed[0])) + b"\n", [base64.b64decode(line, validate=True) for line in lines]
    except ValueError as error:
        raise FormatError("what follows the note is not base64, a root a line") from error


def compare(snapshot: Snapshot, note: Note, roots: Sequence[bytes] = ()) -> Comparison:
    """Compare a note with the log. Raises `SignatureError` unless a log key that is open now, or that `roots` prove, signed it."""
    root, head = present_root(snapshot.state()), snapshot.head()
    said = parse_checkpoint(note.text)
    newest = root if root is None else proven_root(snapshot, roots) or root
    if root is None or newest is None or said.origin not in (root.origin, newest.origin):
        raise SignatureError("this checkpoint is of another log")
    proven = [] if newest is root else known_keys((one.vkey for one in newest.log_keys if one.until is None), LOG_KIND)
    if not good_lines(note, [*open_keys(snapshot, said.size), *proven]):
        raise SignatureError("no open log key of this log signed this checkpoint")
    fits = said.size <= head.size and tree_root(said.size, snapshot) == said.root
    clocks = good_lines(note, known_keys(dict.fromkeys((*root.clock_keys, *newest.clock_keys)), CLOCK_KIND))
    return Comparison(root.origin, head.size, snapshot.checkpoint(), fits, max((line_time(line) for line in clocks.values()), default=0))


def proven_root(snapshot: Snapshot, roots: Sequence[bytes]) -> Root | None:
    """Return the last of these roots that follows the log's newest one, each signed as the root after the one before. None for none."""
    before: PlacedRoot | FetchedRoot = placed_roots(snapshot.connection)[-1]
    network, newest = snapshot.state().network or "", before
    for raw in roots:
        newest = parse_next_root(raw, newest, network) or newest  # those that the log has are passed over
    return None if newest is before else newest.root


def open_keys(snapshot: Snapshot, size: int) -> list[VerifierKey]:
    """Return the log keys that are open both at `size` and at the end of the log."""
    sizes = (size, snapshot.head().size)
    listed = tenures(placed_roots(snapshot.connection)).items()
    return known_keys((vkey for vkey, tenure in listed if all(map(tenure.covers, sizes))), LOG_KIND)


def known_keys(vkeys: Iterable[str], kind: int) -> list[VerifierKey]:
    """Return the keys of a kind among `vkeys`. What is none is passed over: the fold does not look at them."""
    found = []
    for text in vkeys:
        with suppress(FormatError):
            key = parse_vkey(text)
            found += [key] if key.kind == kind else []
    return found
