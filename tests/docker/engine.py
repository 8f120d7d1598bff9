"""A Docker daemon of our own on a private socket: started, used and ended by one process, leaving nothing behind.

It has no bridge of its own and leaves the machine's packet filter and forwarding alone, so it gets along with another daemon and
with other tests. Needs root. It ends with the process that started it, however that ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FLAGS = ("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none")
COMMANDS = ("dockerd", "docker", "mmdebstrap", "setpriv")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
SYS_ADMIN = 1 << 21


class EngineError(Exception):
    """The daemon does not start, or refuses a command; the text says what it said."""


def missing() -> str | None:
    """Return why no daemon can be started here, None when nothing speaks against it."""
    absent = [command for command in COMMANDS if shutil.which(command) is None]
    if absent:
        return f"no command {', '.join(absent)} (make system-packages)"
    rights = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:"))
    if os.geteuid() != 0 or not int(rights.split()[1], 16) & SYS_ADMIN:
        return "a Docker daemon needs root with CAP_SYS_ADMIN"
    return None


class Engine:
    """A running daemon and the command that talks to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("METALEDGER_", "DOCKER_", "COMPOSE_"))},
            "DOCKER_HOST": f"unix://{place}/d.sock",
            "DOCKER_CONFIG": str(place / "config"),
            "DOCKER_BUILDKIT": "0",  # the builder inside the daemon, which needs no plug-in
        }

    def docker(self, *words: str | Path, settings: Mapping[str, str] | None = None, typed: str | None = None) -> str:
        """Run `docker` with these words, `settings` in its environment and `typed` on stdin; return stdout. Raises EngineError."""
        done = self.attempt(*words, settings=settings, typed=typed)
        if done.returncode != 0:
            raise EngineError(f"docker {words[0]} failed ({done.returncode}): {done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout

    def attempt(
        self, *words: str | Path, settings: Mapping[str, str] | None = None, typed: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker` as `docker` does, and return how it ended."""
        command = ["nice", "-n", "10", "docker", *map(str, words)]
        environment = {**self.environment, **(settings or {})}
        return subprocess.run(command, env=environment, input=typed or "", capture_output=True, text=True, check=False, cwd=self.place)


@contextmanager
def running_engine() -> Iterator[Engine]:
    """Start a daemon, and end it and everything that runs in it. Raises EngineError when it does not start."""
    place = Path(tempfile.mkdtemp(prefix="metaledger-docker-"))
    options = (
        "--host",
        f"unix://{place}/d.sock",
        "--data-root",
        place / "data",
        "--exec-root",
        place / "exec",
        "--pidfile",
        place / "d.pid",
    )
    try:
        with (place / "log").open("wb") as log:
            command = ["setpriv", "--pdeathsig", "TERM", "dockerd", *map(str, options), *FLAGS]
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            engine = Engine(place)
            _await_start(engine, daemon)
            yield engine
        finally:
            daemon.terminate()
            _await_end(daemon)
    finally:
        _clear(place)


def _await_start(engine: Engine, daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while engine.attempt("version").returncode != 0:
        if daemon.poll() is not None or time.monotonic() > deadline:
            said = (engine.place / "log").read_text(errors="replace")[-3000:]
            raise EngineError(f"DOCKER DOES NOT START HERE. dockerd said:\n{said}")
        time.sleep(0.1)


def _await_end(daemon: subprocess.Popen[bytes]) -> None:
    try:
        daemon.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _clear(place: Path) -> None:
    """Unmount what the daemon left mounted below its directory, innermost first, and remove the directory."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((point for point in mounted if point.startswith(f"{place}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    shutil.rmtree(place, ignore_errors=True)
