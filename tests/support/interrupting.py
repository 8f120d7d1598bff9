"""Ctrl-C for tests: a command as a program of its own, interrupted at a moment of its life."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from tests.support.command import PROGRAM, Cli, clean

if TYPE_CHECKING:
    from collections.abc import Callable

LATER_SECONDS = 0.4
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Case:
    """A command of one home, and how to see that it is done: once, for `done` fails when there is more than one effect.

    What `forever` goes on until it is interrupted, and says nothing of it when it is a server.
    """

    cli: Cli
    words: tuple[str, ...]
    done: Callable[[], bool]
    forever: bool = False


def loads(process: subprocess.Popen[bytes], _folder: Path) -> None:
    """Wait until it loads its libraries."""
    _wait(process, lambda: "site-packages" in Path(f"/proc/{process.pid}/maps").read_text())


def opens(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it has opened a file of ours."""
    inside = f"{folder}/"
    _wait(process, lambda: any(_target(one).startswith(inside) for one in Path(f"/proc/{process.pid}/fd").iterdir()))


def later(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait some more."""
    opens(process, folder)
    with suppress(subprocess.TimeoutExpired):
        process.wait(random.uniform(0, LATER_SECONDS))


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink())
    return ""


def _wait(process: subprocess.Popen[bytes], true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        with suppress(OSError):
            if true():
                return
        assert time.monotonic() < deadline
        time.sleep(0.002)


def interrupted(case: Case, moment: Callable[[subprocess.Popen[bytes], Path], None], folder: Path) -> int:
    """Run the command, interrupt it at the moment, and return its exit code."""
    words = [*PROGRAM, "--home", str(case.cli.home), *case.words]
    with TemporaryFile() as out:  # a pipe that nobody reads would hold it up
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=clean({}))
    moment(process, folder)
    process.send_signal(signal.SIGINT)
    _, raw = process.communicate(timeout=PATIENCE_SECONDS)
    err = raw.decode()
    assert "Traceback" not in err, err
    server = case.words[0] == "run"
    assert process.returncode in ((0, 130) if server or not case.forever else (130,)), err
    assert process.returncode == 0 or err.splitlines()[-1] == "interrupted", err
    return process.returncode


# -- effects -----------------------------------------------------------------------------------------------------------


def versions(cli: Cli, policy: str) -> int:
    ran = cli("history", policy, "-o", "json")
    return len(ran.json) if ran.code == 0 else 0


def once(cli: Cli, *policies: str, earlier: int = 0) -> Callable[[], bool]:
    """Return what tells whether each of these has one version more than before, and fails when one has two."""

    def done() -> bool:
        cli("sync").good()
        counts = {versions(cli, policy) - earlier for policy in policies}
        assert counts <= {0, 1}
        return counts == {1}

    return done


def good(cli: Cli, *words: str) -> Callable[[], bool]:
    return lambda: cli(*words).code == 0


def whole(path: Path) -> Callable[[], bool]:
    """Return what tells whether a file is there, and fails when it is there in part."""

    def done() -> bool:
        if path.exists():
            Cli(path.parent / "nobody")("verify", "ledger", str(path)).good()
        return path.exists()

    return done


def never() -> bool:
    return False
