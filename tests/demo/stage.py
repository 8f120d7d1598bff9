"""Where the demo plays: a directory of its own, commands as a person types them, processes, and an end that leaves nothing behind."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(sys.executable).with_name("ledger-cli")
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
COMMAND_SECONDS = 240
START_SECONDS = 30
STOP_SECONDS = 30
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """Something is not as promised."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command answered."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Stage:
    """A temporary directory in which `ledger-cli` runs. Enter it with `with`: however that ends, processes and directory go."""

    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="metaledger-demo-"))
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("METALEDGER_")}
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: list[Callable[[], None]] = []
        self._before: dict[signal.Signals, Any] = {}
        self._step = 0
        self._held = False
        self._interrupted = False
        self.kept = 0

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._interrupt) for number in ENDING_SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what follows takes a moment, and is not to be cut short
        for server in self._servers.values():
            server.terminate()
        for server in self._servers.values():
            _await_end(server)
        for end in self._ends:
            end()
        shutil.rmtree(self.place, ignore_errors=True)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def at_end(self, end: Callable[[], None]) -> None:
        """Call `end` after the servers are stopped."""
        self._ends.append(end)

    # -- saying ----------------------------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """Print a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._step += 1
        self.say(f"\n{self._step}. {title}")

    def show(self, text: str, *, most: int = 12) -> None:
        """Print what a program answered, indented; the middle is left out when it is long."""
        lines = text.rstrip("\n").split("\n") if text.strip() else []
        left_out = [f"… {len(lines) - most + 1} more lines"] if len(lines) > most else []
        for line in [*lines[: most - 1], *left_out, *lines[-1:]] if left_out else lines:
            self.say(f"   {line}")

    def typed(self, command: str) -> None:
        """Print a command as a person would type it in the demo's directory."""
        self.say(f"   $ {command}")

    def promise(self, kept: bool, text: str) -> None:
        """Print that `text` holds; DemoError when it does not."""
        if not kept:
            raise DemoError(f"not as promised: {text}")
        self.kept += 1
        self.say(f"   ✓ {text}")

    # -- commands --------------------------------------------------------------------------------------------------

    def cli(self, *words: str, code: int = 0) -> Outcome:
        """Run one `ledger-cli` command and print it. DemoError when it exits otherwise than with `code`."""
        self.typed(f"ledger-cli {shlex.join(words)}")
        return self._expect(self.quietly(COMMAND, *words), words, code)

    def unseen(self, *words: str) -> Outcome:
        """Do as `cli` does, without printing it."""
        return self._expect(self.quietly(COMMAND, *words), words, 0)

    def together(self, *commands: Sequence[str]) -> list[Outcome]:
        """Run `ledger-cli` commands at once and print them."""
        for words in commands:
            self.typed(f"ledger-cli {shlex.join(words)}")
        with ThreadPoolExecutor(len(commands)) as pool:
            done = list(pool.map(lambda words: self.quietly(COMMAND, *words), commands))
        return [self._expect(outcome, words, 0) for outcome, words in zip(done, commands, strict=True)]

    def quietly(self, *words: str | Path) -> Outcome:
        """Run a program in the demo's directory without printing anything."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.place,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
            start_new_session=True,
        )
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _expect(self, outcome: Outcome, words: Sequence[str], code: int) -> Outcome:
        if outcome.code != code:
            raise DemoError(f"ledger-cli {shlex.join(words)} exited with {outcome.code}, not {code}:\n{outcome.stdout}{outcome.stderr}")
        return outcome

    # -- servers ---------------------------------------------------------------------------------------------------

    def start(self, home: str, *words: str) -> None:
        """Start a server of `home` in the background and print the command. `await_listening` waits for it."""
        arguments = (*words, "--home", home)
        self.typed(f"ledger-cli {shlex.join(arguments)} &")
        self._launch(home, [str(COMMAND), *arguments])

    def start_program(self, name: str, *words: str) -> None:
        """Start another program in the background and print its command."""
        self.typed(f"{shlex.join((name, *words[1:]))} &")
        self._launch(name, words)

    def _launch(self, name: str, command: Sequence[str]) -> None:
        with (self.place / f"{name}.log").open("ab") as log, self._unbroken():
            self._servers[name] = subprocess.Popen(
                command,
                cwd=self.place,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which then stops its servers in order
            )

    @contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Let a signal wait: between the birth of a process and its entry in the list nobody would know of it."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._interrupted:
            raise KeyboardInterrupt

    def _interrupt(self, _number: int, _frame: object) -> None:
        self._interrupted = True
        if not self._held:
            raise KeyboardInterrupt

    def await_listening(self, *homes: str) -> None:
        """Return when the servers of these homes answer. DemoError when one ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        for home in homes:
            while not (self.place / home / "listen.json").exists():
                if self._servers[home].poll() is not None or time.monotonic() > deadline:
                    log = (self.place / f"{home}.log").read_text(errors="replace")
                    raise DemoError(f"{home} did not start:\n{log[-2000:]}")
                time.sleep(0.02)

    def url(self, home: str) -> str:
        """Return where the server of a home listens."""
        return str(json.loads((self.place / home / "listen.json").read_text())["url"])

    def stop(self, home: str) -> None:
        """Stop the server of a home as a service manager would. DemoError when it does not end by itself."""
        server = self._servers.pop(home)
        self.typed(f"kill {server.pid}")
        server.terminate()
        if not _await_end(server):
            raise DemoError(f"{home} did not stop within {STOP_SECONDS} s")

    def ask(self, home: str, url: str, token: str, body: bytes | None = None) -> Reply:
        """Ask a server over TLS, trusting only the CA that `home` pinned; POST an envelope when there is a body."""
        context = ssl.create_default_context(cafile=str(self.place / home / "tls" / "ca.pem"))
        headers = {"Authorization": f"Bearer {token}"} | ({} if body is None else {"Content-Type": ENVELOPE})
        try:
            with urlopen(Request(url, data=body, headers=headers), timeout=30, context=context) as answer:
                return Reply(answer.status, answer.read())
        except HTTPError as error:
            with error:
                return Reply(error.code, error.read())


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_end(server: subprocess.Popen[bytes]) -> bool:
    """Wait for a server that was asked to end; kill it when it does not. Return whether it ended by itself."""
    with suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS)
        return True
    server.kill()
    server.wait()
    return False
