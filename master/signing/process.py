"""The signing process: what `master.signing.remote` starts. It holds the keys of the log, writes its one database, and talks to its parent.

It opens no port and parses nothing but entries in their one spelling. It ends with its parent, however that one ends: at the end of
the socket, and by a signal that the kernel sends.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvloop

from auth.keystore import KeyStore
from ledger.core.errors import FormatError, InternalError, LedgerError, NotFoundError, NotReadyError, OutcomeUnknown
from ledger.core.keys import self_test
from ledger.engine.indexes import IndexChange
from ledger.engine.keyfiles import load_sequencer_keys
from ledger.engine.lanes import Threads
from ledger.engine.sequencer import Sequencer
from ledger.engine.signatures import WORTH_IT
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.lock import WriterLock
from ledger.http.logs import EventLog, StandardLogging
from master.signing.wire import MOST_ASKED, Ask, Command, Frames, parse_asked, plain_error, plain_facts, plain_result, told_frame

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from ledger.engine.feed import Delta
    from ledger.engine.sequencer import Placing
    from ledger.engine.signing import SequencerKeys

THREADS = Threads(readers=1, own_writer=False)  # there is nothing to do in the event loop while it is written
YOUNG_OBJECTS = 20_000
DEATH_SIGNAL, DUMPABLE = 1, 4  # prctl(2): PR_SET_PDEATHSIG, PR_SET_DUMPABLE
DIED = 3


def main(descriptor: int, lock: int) -> None:
    """Serve the parent at the other end of the socket `descriptor`; `lock` is the writer lock that it took."""
    stand_alone()
    log = EventLog(sys.stderr.buffer, SystemClock())
    logging.basicConfig(handlers=[StandardLogging(log)], level=logging.WARNING, force=True)
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(socket.socket(fileno=descriptor), lock))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said in the form of all log lines
        log.failure("signing-process", error)
        sys.exit(DIED)


def stand_alone() -> None:
    """Take signals from nobody but the kernel, which ends this process with its parent; keep other processes out of its memory."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        prctl(DUMPABLE, 0, 0, 0, 0)


async def serve(end: socket.socket, lock: int) -> None:
    """Do what the parent asks until it closes the socket. Raises what is wrong with what it sends."""
    service = Service(lock)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: service, sock=end)
    try:
        await service.gone
    finally:
        transport.abort()
        await service.end()


class Service(asyncio.Protocol):
    """One parent, one sequencer. `gone` is done when the parent closed its end, and holds the error when it sent nonsense."""

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(MOST_ASKED)
        self._transport: asyncio.WriteTransport | None = None
        self._store: Store | None = None
        self._sequencer: Sequencer | None = None
        self._told: list[tuple[object, ...]] = []
        self._state: tuple[object, ...] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self.gone: asyncio.Future[None] = self._loop.create_future()

    # -- the socket ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to the parent."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are of no such class

    def data_received(self, octets: bytes) -> None:
        """Do what is asked. A parent that sends nonsense is not served any more."""
        try:
            for payload in self._frames.feed(octets):
                asked = parse_asked(payload)
                if isinstance(asked, Command):
                    self._begin(self._obey(asked))
                elif 0 < len(asked.entries) < WORTH_IT:
                    self._submit(asked)
                else:
                    self._begin(self._append(asked))
        except FormatError as error:
            self._leave(error)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        """End with the parent: at once, unless it closed the sequencer before."""
        if self._tasks or self._under_way:
            os._exit(DIED)
        self._leave(None)

    def _leave(self, error: FormatError | None) -> None:
        if self.gone.done():
            return
        if error is None:
            self.gone.set_result(None)
        else:
            self.gone.set_exception(error)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, *told: object) -> None:
        """Tell the parent, together with all that is told in this turn of the event loop."""
        if not self._told:
            # Not before the next turn: a head is followed at once by the answers of its batch.
            self._loop.call_soon(self._loop.call_soon, self._flush)
        self._told.append(told)

    def _flush(self) -> None:
        told, self._told = self._told, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(told_frame([*self._condition(), *told]))

    def _condition(self) -> list[tuple[object, ...]]:
        """Return how the sequencer is, when that has changed: before anything that says why."""
        sequencer = self._sequencer
        if sequencer is None:
            return []
        state = (sequencer.stopped, sequencer.fork_risk, sequencer.clock_suspect, sequencer.root)
        if self._state is not None and all(now is before for now, before in zip(state, self._state, strict=True)):
            return []
        self._state = state
        stopped, risk, suspect, root = state
        return [("state", None if stopped is None else plain_error(stopped), risk, suspect, None if root is None else root.body)]

    # -- requests ------------------------------------------------------------------------------------------------

    def _submit(self, ask: Ask) -> None:
        """Append a few entries, without a task."""
        try:
            future = self._running.submit(ask.entries, expected_size=ask.expected_size, receipts=ask.receipts, callers=ask.callers)
        except LedgerError as error:
            self._tell("failed", ask.number, plain_error(error))
            return
        self._under_way += 1
        future.add_done_callback(partial(self._answer, ask.number))

    def _answer(self, number: int, future: Placing) -> None:
        self._under_way -= 1
        error = future.exception()
        if error is None:
            self._tell("placed", number, [plain_result(one) for one in future.result()])
        elif isinstance(error, LedgerError):
            self._tell("failed", number, plain_error(error))
        else:
            self._tell("failed", number, plain_error(_bug(error)))

    async def _append(self, ask: Ask) -> None:
        try:
            results = await self._running.append(ask.entries, expected_size=ask.expected_size, receipts=ask.receipts)
        except LedgerError as error:
            self._tell("failed", ask.number, plain_error(error))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave callers waiting for ever
            self._tell("failed", ask.number, plain_error(_bug(error)))
        else:
            self._tell("placed", ask.number, [plain_result(one) for one in results])

    async def _obey(self, command: Command) -> None:
        commands = {
            "open": self._open,
            "fork-risk": self._raise_fork_risk,
            "confirm-clock": self._confirm_clock,
            "change-index": self._change_index,
            "close": self._close,
        }
        work = commands.get(command.name)
        if work is None:
            self._tell("failed", command.number, plain_error(NotFoundError(f"there is no command {command.name}")))
            return
        try:
            await work(command.arguments)
        except LedgerError as error:
            self._tell("failed", command.number, plain_error(error))
        except Exception as error:  # noqa: BLE001 - as above
            self._tell("failed", command.number, plain_error(InternalError(f"the signing process failed: {error!r}")))
        else:
            self._tell("done", command.number)

    async def _open(self, arguments: Mapping[str, object]) -> None:
        home, phrase, accept = Home(Path(str(arguments["home"]))), arguments["passphrase"], arguments["accept"]
        keys = await asyncio.to_thread(load_keys, home, phrase if isinstance(phrase, str) else None)
        lock = await asyncio.to_thread(WriterLock.adopt, home.lock, self._lock)
        self._store = await asyncio.to_thread(Store.open_held, home.database, lock, THREADS)
        self._sequencer = Sequencer(self._store, keys, clock=SystemClock(), observer=self)
        self._sequencer.serve_elsewhere()
        self._sequencer.feed.subscribe(self._hear)
        await self._sequencer.start(accept=accept if isinstance(accept, int) else None)
        gc.freeze()

    async def _raise_fork_risk(self, arguments: Mapping[str, object]) -> None:
        origin, clock = arguments["origin"], arguments["clock"]
        await self._running.raise_fork_risk(
            str(arguments["reason"]),
            origin=origin if isinstance(origin, str) else None,
            clock=clock if isinstance(clock, int) else 0,
        )

    async def _confirm_clock(self, _arguments: Mapping[str, object]) -> None:
        self._running.confirm_clock()

    async def _change_index(self, arguments: Mapping[str, object]) -> None:
        if self._store is None:
            raise NotReadyError("the store is not open")
        change = IndexChange.of(str(arguments["kind"]), str(arguments["attribute"]), drop=arguments["drop"] is True)
        await self._store.write(lambda transaction: transaction.change_indexes(change.apply))

    async def _close(self, _arguments: Mapping[str, object]) -> None:
        if self._sequencer is not None:
            await self._sequencer.close()
        await asyncio.gather(*(self._tasks - {asyncio.current_task()}), return_exceptions=True)
        await asyncio.sleep(0)  # for the answers of what was submitted

    @property
    def _running(self) -> Sequencer:
        if self._sequencer is None:
            raise NotReadyError("the sequencer is not running")
        return self._sequencer

    async def end(self) -> None:
        """Close what is open."""
        if self._sequencer is not None:
            await self._sequencer.close()
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    # -- what the sequencer says ---------------------------------------------------------------------------------

    def _hear(self, delta: Delta) -> None:
        self._tell("delta", delta.start, delta.entries, delta.head.size, delta.head.checkpoint, delta.authority)

    def event(self, name: str, /, **facts: object) -> None:
        """Pass an event on (`ledger.core.ports.Observer`)."""
        self._tell("event", name, plain_facts(facts))


def _bug(error: BaseException) -> OutcomeUnknown:
    return OutcomeUnknown(f"the signing process failed: {error!r}", operation="append")


def load_keys(home: Home, passphrase: str | None) -> SequencerKeys:
    """Return what the log is signed with: every key named `log` or `log-…`, the clock key, the mark key. Raises `NotFoundError`."""
    self_test()
    found = load_sequencer_keys(KeyStore(home.keys, None if passphrase is None else passphrase.encode()))
    if found is None:
        raise NotFoundError(
            "this home has no log key, so it cannot be a master", advice="Run `ledger-cli create network` in it, or name another home."
        )
    return found
