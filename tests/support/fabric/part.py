"""One process of a network, which tests kill, freeze and start again."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_SECONDS = 60
STOP_SECONDS = 10


class PartError(AssertionError):
    """A process ended, or does not listen."""


class Part:
    """A process that listens on a port of the loopback interface. What it says goes to `log`."""

    def __init__(self, command: Sequence[str], port: int, log: Path, environment: Mapping[str, str], place: Path | None = None) -> None:
        self._command = command
        self._log = log
        self._environment = {**os.environ, **environment}
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def pid(self) -> int:
        """Return its process id. PartError when it does not run."""
        if self._process is None:
            raise PartError(f"{self._command[0]} does not run")
        return self._process.pid

    def replace(self, program: Path) -> None:
        """Let the next start run another program at the same port, with the same environment."""
        self._command = [str(program), *self._command[1:]]

    def launch(self) -> None:
        """Start the process; return at once."""
        assert self._process is None, f"{self._command[0]} runs"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, cwd=self._place, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    async def listens(self) -> None:
        """Return when its port takes connections."""
        for _ in range(START_SECONDS * 50):
            if self._process is None or self._process.poll() is not None:
                raise PartError(f"{self._command[0]} ended: {self.said()}")
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise PartError(f"{self._command[0]} does not listen: {self.said()}")

    def said(self) -> str:
        """Return the last that it said."""
        return self._log.read_text(errors="replace")[-2_000:]

    def signal(self, number: Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL; return when it is gone and its port is free."""
        self._end(SIGKILL)

    def stop(self) -> None:
        """End it as an operator does. Idempotent."""
        if self._process is not None:
            self._process.send_signal(SIGCONT)
            self._end(SIGTERM)

    def _end(self, number: Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Processes:
    """The processes of one network, by their names; `shape.FabricNetwork` says what the names are."""

    def __init__(self) -> None:
        """Begin with none."""
        self._parts: dict[str, Part] = {}

    def add(self, name: str, part: Part) -> None:
        """Take one that is yet to be started."""
        self._parts[name] = part

    @property
    def parts(self) -> Sequence[str]:
        """Return the names."""
        return list(self._parts)

    def part(self, name: str) -> Part:
        """Return a part."""
        return self._parts[name]

    def kill(self, part: str) -> None:
        """End a part by SIGKILL; return when it is gone."""
        self._parts[part].kill()

    def freeze(self, part: str) -> None:
        """Stop a part where it is."""
        self._parts[part].signal(SIGSTOP)

    def thaw(self, part: str) -> None:
        """Let a frozen part go on."""
        self._parts[part].signal(SIGCONT)

    async def start(self, part: str) -> None:
        """Start a part that was killed, on what it had kept."""
        self._parts[part].launch()
        await self._parts[part].listens()

    def stop(self) -> None:
        """End every process. Idempotent."""
        for part in self._parts.values():
            part.stop()
