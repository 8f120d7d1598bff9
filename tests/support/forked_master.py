"""A real master whose process is forked from one that has imported everything: it is there again within a second, to be killed again."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ledger.cli.main import main
from tests.support.live import Server

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from tests.support.live import Process

PRELOADED = ["master.run", "blockchain_adapters.ethereum.backend", __name__]


def serve(log_file: str, words: tuple[str, ...]) -> None:
    """Be `ledger-cli` with these words; stdout and stderr go into a file."""
    with open(log_file, "ab", buffering=0) as log:  # noqa: PTH123 - only its descriptor is of use
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    for name in [name for name in os.environ if name.startswith("METALEDGER_")]:
        del os.environ[name]
    sys.exit(main(words))


class Forked:
    """A process of `multiprocessing`, as `subprocess` shows one."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("a forked master", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int, /) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


class ForkedMaster(Server):
    """A `Server` that is forked."""

    def _launch(self, words: tuple[str, ...]) -> Process:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        process = context.Process(target=serve, args=(str(self.log_file), words), daemon=True)
        process.start()
        return Forked(process)
