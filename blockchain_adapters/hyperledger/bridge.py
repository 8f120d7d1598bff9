"""The life of the bridge: a Java process that drives Fabric's own gateway client, and the calls to it.

The process is started by the first call, and again by the next call after it died: at once, and when it dies soon again, after a rest
that doubles. It dies with this process, whose end closes its stdin. Calls run on threads of a pool of fixed size, so that the event
loop never waits; those that wait for something to happen on the chain take at most half of them.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from asyncio.subprocess import PIPE
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from blockchain_adapters.hyperledger.faults import ReopenError, fault
from blockchain_adapters.hyperledger.link import Link, LinkError
from ledger.core.errors import NotReadyError, OutcomeUnknown, UnreachableError

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from pathlib import Path

LONGEST_WAIT: Final = 60.0
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
SHOWN: Final = 300
# The first tier of the compiler is enough for what mostly waits, and with the small heap keeps the process small.
OPTIONS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xss512k", "-Xmx192m", "-Djava.awt.headless=true")


@dataclass(frozen=True, slots=True)
class Pace:
    """Times in seconds: `patience` for an answer beyond what a call itself may wait, `rest` after a death, doubled up to `most_rest`.

    A process that lived `healthy` seconds counts as sound. `threads` calls run at once.
    """

    patience: float = 30.0
    rest: float = 0.2
    most_rest: float = 30.0
    healthy: float = 10.0
    threads: int = 8


@dataclass(slots=True)
class _Running:
    """One process: its number among those of this bridge, and when it was ready."""

    process: Process
    link: Link
    generation: int
    since: float


class Bridge:
    """The bridge process and the calls to it. `close` it; for one event loop."""

    def __init__(self, java: Path, jar: Path, pace: Pace | None = None) -> None:
        """Run `jar` with the command `java`; nothing starts before the first call."""
        self._command = (str(java), *OPTIONS, "-jar", str(jar))
        self._pace = Pace() if pace is None else pace
        self._threads = ThreadPoolExecutor(self._pace.threads, thread_name_prefix="fabric")
        self._waiting = asyncio.Semaphore(max(1, self._pace.threads // 2))
        self._starting = asyncio.Lock()
        self._running: _Running | None = None
        self._deaths = 0
        self._rests_until = 0.0
        self._closed = False
        self.generation = 0

    @property
    def pid(self) -> int | None:
        """Return the process id while a process is there."""
        return None if self._running is None else self._running.process.pid

    async def start(self) -> int:
        """Start the process unless it runs; return its generation. NotReadyError while it rests after it died."""
        return (await self._ready()).generation

    async def ask(self, method: str, fields: dict[str, Any], *, wait: float = 0.0, generation: int | None = None) -> dict[str, Any]:
        """Return the answer of a method, which may itself wait `wait` seconds. It is asked once.

        `generation`: only of that process; ReopenError when another has taken its place. Raises what `faults.fault` makes of an answer, and
        for none UnreachableError, or OutcomeUnknown when the method is `submit`.
        """
        running = await self._ready()
        if generation is not None and generation != running.generation:
            raise ReopenError("the bridge was started again")
        asked = min(LONGEST_WAIT, wait)
        text = orjson.dumps({**fields, "wait_ms": round(asked * 1_000)} if wait else fields).decode()
        patience = self._pace.patience + asked
        loop = asyncio.get_running_loop()
        try:
            if wait:
                async with self._waiting:
                    said = await loop.run_in_executor(self._threads, running.link.call, method, text, patience)
            else:
                said = await loop.run_in_executor(self._threads, running.link.call, method, text, patience)
        except LinkError as error:
            raise await self._failed(running, method, error) from error
        answer: dict[str, Any] = orjson.loads(said)
        if answer.get("ok") is not True:
            raise fault(answer)
        return answer

    async def _failed(self, running: _Running, method: str, error: LinkError) -> Exception:
        if error.late and running.process.returncode is None:
            running.process.kill()  # it is stuck: no call is meant to take that long
        with suppress(TimeoutError):
            await asyncio.wait_for(running.process.wait(), STOP_SECONDS if error.late else 1.0)
        if method == "submit" and error.sent:
            return OutcomeUnknown(f"the bridge gave no answer to a transaction: {error}", operation="")
        return UnreachableError(f"the bridge gave no answer: {error}", advice="Try again: it is started anew.")

    # -- the process ---------------------------------------------------------------------------------------------

    async def _ready(self) -> _Running:
        running = self._running
        if running is not None and running.process.returncode is None and not self._closed:
            return running
        async with self._starting:
            if self._closed:
                raise NotReadyError("the bridge is closed")
            if self._running is not None and self._running.process.returncode is None:
                return self._running
            await self._bury()
            left = self._rests_until - time.monotonic()
            if left > 0:
                raise NotReadyError(f"the bridge died {self._deaths} times; it is started again in {left:.1f} s")
            self._running = await self._start()
            return self._running

    async def _bury(self) -> None:
        """Take leave of a process that is gone, and settle how long to rest."""
        running, self._running = self._running, None
        if running is None:
            return
        running.link.close()
        await _end(running.process)
        sound = time.monotonic() - running.since >= self._pace.healthy
        self._deaths = 1 if sound else self._deaths + 1
        self._rest(self._deaths - 1)

    def _rest(self, deaths: int) -> None:
        rest = min(self._pace.most_rest, self._pace.rest * 2 ** min(deaths - 1, 20)) if deaths else 0.0
        self._rests_until = time.monotonic() + rest

    async def _start(self) -> _Running:
        process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        try:
            link = await asyncio.wait_for(self._greet(process), START_SECONDS)
        except BaseException as error:
            reason = await _end(process)
            self._deaths += 1
            self._rest(self._deaths)
            if isinstance(error, OSError | ValueError | TypeError | KeyError):
                raise NotReadyError(f"the bridge does not start: {reason or error}", advice="Run `java -version`: 17 or later.") from error
            raise
        self.generation += 1
        return _Running(process, link, self.generation, time.monotonic())

    async def _greet(self, process: Process) -> Link:
        """Hand over the token, and read where the process listens."""
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes")
        token = secrets.token_urlsafe(32)
        process.stdin.write(f"{token}\n".encode())
        await process.stdin.drain()
        ready = orjson.loads(await process.stdout.readline())
        return Link(int(ready["port"]), token)

    async def close(self) -> None:
        """End the process, and with it what is under way. Idempotent."""
        self._closed = True
        async with self._starting:
            running, self._running = self._running, None
        self._threads.shutdown(wait=False, cancel_futures=True)
        if running is not None:
            running.link.close()
            await _end(running.process)


async def _end(process: Process) -> str:
    """End a process, by its stdin or by force; return the last it said on stderr."""
    said = b""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            if process.stdin is not None:
                process.stdin.close()  # `communicate` leaves it open without input; with some, uvloop refuses to write to a dead process
            _, said = await process.communicate()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    if process.stdin is not None:
        with suppress(ConnectionError):
            await process.stdin.wait_closed()
    return " ".join(said[-SHOWN:].decode(errors="replace").split())


__all__ = ["LONGEST_WAIT", "Bridge", "Pace"]
