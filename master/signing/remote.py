"""The sequencer as the serving process has it: a socket to the signing process, and what that one told last.

What is counted and refused here costs no way there and back: room in the queue, an end, a log that does not run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, cast

from ledger.core.backend import Head
from ledger.core.envelope import Envelope
from ledger.core.errors import InternalError, LedgerError, NotReadyError, OutcomeUnknown, TooLargeError
from ledger.core.limits import LIMITS
from ledger.core.root import parse_root
from ledger.engine.feed import Delta, Feed
from ledger.engine.snapshot import entry_digest
from ledger.engine.waiting import Room
from master.signing.wire import MOST_TOLD, Ask, Command, Frames, append_frame, command_frame, error_of, parse_told, result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.core.backend import Placed, Refused
    from ledger.core.ports import Observer
    from ledger.core.root import Root
    from ledger.engine.indexes import IndexChange
    from ledger.home.home import Home
    from ledger.home.lock import WriterLock

END_SECONDS = 10.0
PLACING_SECONDS = 60.0
AT_ONCE = 8  # callers who are answered in one turn of the event loop
PROGRAM = "import sys; sys.path[:] = {path!r}; from master.signing.process import main; main({end}, {lock})"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the signing process works, and with which passphrase it opens its keys."""

    home: Home
    passphrase: str | None = field(default=None, repr=False)


class RemoteSequencer(asyncio.Protocol):
    """A `ledger.engine.ports.Sequencing` in a process of its own; `spawn` makes it. For one event loop.

    When that process ends without being asked to, every request under way has an unknown outcome. `lost` returns why it ended, or why it
    sequences nothing any more.
    """

    def __init__(self, process: asyncio.subprocess.Process, place: Place, observer: Observer | None = None) -> None:
        """Prepare; `spawn` is the way to get one that can be started."""
        self.feed = Feed(Head(0, 0))
        self._process = process
        self._place = place
        self._observer = observer
        self._loop = asyncio.get_running_loop()
        self._room = Room()
        self._frames = Frames(MOST_TOLD)
        self._transport: asyncio.WriteTransport | None = None
        self._number = 0
        self._appends: dict[int, tuple[asyncio.Future[list[Placed | Refused]], tuple[bytes, ...]]] = {}
        self._commands: dict[int, asyncio.Future[None]] = {}
        self._placed: deque[tuple[asyncio.Future[list[Placed | Refused]], list[Placed | Refused]]] = deque()
        self._out: list[bytes] = []
        self._closing = False
        self._running = False
        self._stopped: LedgerError | None = None
        self._risk: str | None = None
        self._suspect = False
        self._root: Root | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._halted = asyncio.Event()
        self._hears: dict[str, Callable[..., None]] = {
            "placed": self._hear_placed,
            "failed": self._hear_failed,
            "done": self._hear_done,
            "delta": self._hear_delta,
            "event": self._hear_event,
            "state": self._hear_state,
        }

    # -- life ----------------------------------------------------------------------------------------------------

    @classmethod
    async def spawn(cls, place: Place, lock: WriterLock, observer: Observer | None = None) -> Self:
        """Start the process, which shares the writer lock: the home is free when both have ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            ends = (theirs.fileno(), lock.descriptor)
            program = PROGRAM.format(path=sys.path, end=ends[0], lock=ends[1])
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdin=asyncio.subprocess.DEVNULL, pass_fds=ends)
        remote = cls(process, place, observer)
        await remote._loop.create_unix_connection(lambda: remote, sock=ours)
        return remote

    async def start(self, *, accept: int | None = None) -> None:
        """Do as `Sequencer.start` does. Raises also what opening the store and its keys raises."""
        await self._command("open", home=os.fspath(self._place.home.path.absolute()), passphrase=self._place.passphrase, accept=accept)
        self._running = True

    async def close(self, patience: float = END_SECONDS, *, placing: float = PLACING_SECONDS) -> None:
        """Sequence what is queued, write `head.json`, end the process. Idempotent.

        The process is killed when it takes more than `placing` seconds for what is queued, and `patience` to end: what it stored stands.
        """
        self._closing = True
        if self._running and not self._gone.done():
            self._running = False
            try:
                async with asyncio.timeout(placing):
                    await self._command("close")
            except TimeoutError:
                self._event("sequencer.close", reason=f"the signing process did not close within {placing:.0f} s")
            except LedgerError as error:
                self._event("sequencer.close", reason=error.message)
        self._running = False
        if self._transport is not None:
            self._transport.close()
        process = self._process
        if process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), patience)
            except TimeoutError:
                process.kill()
                await process.wait()

    async def lost(self) -> LedgerError:
        """Wait until the process ends by itself, or sequences no more, and return what to tell people."""
        halted = asyncio.create_task(self._halted.wait())
        try:
            await asyncio.wait((self._gone, halted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
        advice = "Start the master again: what was acknowledged stands. See the log above."
        if not self._gone.done() and self._stopped is not None:
            return NotReadyError(f"the signing process stopped: {self._stopped.message}", advice=advice)
        code = await self._process.wait()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return InternalError(f"the signing process {how}", advice=advice)

    @property
    def pid(self) -> int:
        """Return the number of the signing process."""
        return self._process.pid

    @property
    def stopped(self) -> LedgerError | None:
        """See `Sequencing`."""
        return self._stopped

    @property
    def fork_risk(self) -> str | None:
        """See `Sequencing`."""
        return self._risk

    @property
    def root(self) -> Root | None:
        """See `Sequencing`."""
        return self._root

    @property
    def waiting(self) -> int:
        """Return how many entries are not answered yet."""
        return self._room.entries

    @property
    def clock_suspect(self) -> bool:
        """See `Sequencing`."""
        return self._suspect

    async def confirm_clock(self) -> None:
        """Sign the wall clock again after a jump."""
        await self._command("confirm-clock")

    async def raise_fork_risk(self, reason: str, *, origin: str | None = None, clock: int = 0) -> None:
        """See `Sequencing`."""
        await self._command("fork-risk", reason=reason, origin=origin, clock=clock)

    async def change_index(self, change: IndexChange) -> None:
        """Make or drop an index of the log's database. Raises as `IndexChange.apply` does."""
        await self._command("change-index", **change.facts())

    # -- requests ------------------------------------------------------------------------------------------------

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        """Do as `Sequencer.append` does."""
        if self._stopped is not None:
            raise NotReadyError(f"the sequencer stopped: {self._stopped.message}", advice="Start the ledger again.")
        if self._closing or not self._running:
            raise NotReadyError("the sequencer is not running")
        if len(envelopes) > LIMITS.batch_entries:
            raise TooLargeError(f"at most {LIMITS.batch_entries} entries a request")
        if not envelopes:
            return []
        self._room.reserve(len(envelopes))
        entries = tuple([one.entry if isinstance(one, Envelope) else one for one in envelopes])
        number = self._next()
        future: asyncio.Future[list[Placed | Refused]] = self._loop.create_future()
        self._appends[number] = future, entries
        self._send(append_frame(Ask(number, entries, expected_size, receipts, len(self._appends))))
        # A caller that gives up cancels only its answer: what it queued is placed all the same.
        return await future

    def require_room(self, count: int) -> None:
        """See `Appender`."""
        self._room.require_room(count)

    async def _command(self, name: str, **arguments: object) -> None:
        if self._gone.done():
            raise NotReadyError("the signing process ended", advice="Start the ledger again.")
        number = self._next()
        future: asyncio.Future[None] = self._loop.create_future()
        self._commands[number] = future
        self._send(command_frame(Command(number, name, arguments)))
        await future

    def _next(self) -> int:
        self._number = (self._number + 1) & 0xFFFF_FFFF
        return self._number

    def _send(self, frame: bytes) -> None:
        """Send a frame, together with all that are sent in this turn of the event loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(frame)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(out))

    # -- the socket ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the process."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no such class

    def data_received(self, octets: bytes) -> None:
        """Hear what the process tells."""
        for payload in self._frames.feed(octets):
            for name, *told in parse_told(payload):
                self._hears[str(name)](*told)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        """Answer everyone who waits: nobody knows what the process did last."""
        appends, self._appends = self._appends, {}
        commands, self._commands = self._commands, {}
        ended = "the signing process ended"
        if not self._closing:
            self._stopped = NotReadyError(ended)
            self._event("sequencer.stopped", code=self._stopped.code, reason=ended)
        for future, entries in appends.values():
            self._room.release(len(entries))
            if not future.done():
                future.set_exception(OutcomeUnknown(ended, operation=entry_digest(entries[0]) or ""))
        for command in commands.values():
            if not command.done():
                command.set_exception(NotReadyError(ended))
        if not self._gone.done():
            self._gone.set_result(None)

    # -- what the process tells ----------------------------------------------------------------------------------

    def _hear_placed(self, number: int, results: list[Any]) -> None:
        future, entries = self._appends.pop(number)
        self._room.release(len(entries))
        answer = future, [result_of(one) for one in results]
        if not self._placed:
            self._loop.call_soon(self._resolve)
        self._placed.append(answer)

    def _resolve(self) -> None:
        """Let a few callers go on in this turn of the event loop: what is written in a turn leaves at its end, and others wait for it."""
        for _ in range(min(AT_ONCE, len(self._placed))):
            future, results = self._placed.popleft()
            if not future.done():
                future.set_result(results)
        if self._placed:
            self._loop.call_soon(self._resolve)

    def _hear_failed(self, number: int, error: Any) -> None:
        if number in self._commands:
            future: asyncio.Future[Any] = self._commands.pop(number)
        else:
            future, entries = self._appends.pop(number)
            self._room.release(len(entries))
        if not future.done():
            future.set_exception(error_of(error))

    def _hear_done(self, number: int) -> None:
        future = self._commands.pop(number)
        if not future.done():
            future.set_result(None)

    def _hear_delta(self, start: int, entries: tuple[bytes, ...], size: int, note: bytes, authority: tuple[bytes, ...] | None) -> None:
        self.feed.publish(Delta(start, entries, Head(size, size, note), authority))

    def _hear_event(self, name: str, facts: dict[str, object]) -> None:
        self._event(name, **facts)

    def _hear_state(self, stopped: Any, risk: str | None, suspect: bool, root: Any) -> None:
        self._stopped = None if stopped is None else error_of(stopped)
        if self._stopped is not None:
            self._halted.set()
        self._risk, self._suspect = risk, suspect
        self._root = None if root is None else parse_root(root)

    def _event(self, name: str, **facts: object) -> None:
        if self._observer is not None:
            self._observer.event(name, **facts)
