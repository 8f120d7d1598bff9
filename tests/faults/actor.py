"""A process that does one thing and tells by its exit code how it went; strace makes its system calls fail, or be its last.

`python -m tests.faults.actor` reads one JSON line a request, `{"scene": …, "home": …}`, forks a child that stops itself before it does
the scene, and answers with the child's number, then with its end. So a scene costs no start of an interpreter.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.core.backend import Placed
from ledger.core.errors import LedgerError
from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network
from tests.faults.scenes import Lane, sequencing
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

DONE, REFUSED, FOREIGN, DONE_THEN_FAILED = 0, 3, 4, 5


async def create(home: Path) -> int:
    """Make a network with its home."""
    await create_network(home, NewNetwork("faulty"), SystemClock())
    return DONE


async def sequence(home: Path, lane: Lane = Lane.THREAD) -> int:
    """Start a sequencer, which writes `head.json`, place an entry, and stop, which writes it again."""
    acknowledged = False
    network = SmallNetwork()
    try:
        async with sequencing(home, network, lane) as sequencer:
            (one,) = await sequencer.append([network.put("a")])
            acknowledged = isinstance(one, Placed)
    except LedgerError:
        if not acknowledged:
            raise
        return DONE_THEN_FAILED
    return DONE if acknowledged else REFUSED


SCENES: dict[str, Callable[[Path], Awaitable[int]]] = {
    "create": create,
    **{f"sequence {lane.name}": partial(sequence, lane=lane) for lane in Lane},
}


def act(scene: str, home: Path) -> int:
    """Do the scene; return the exit code."""

    async def run() -> int:
        return await SCENES[scene](home)

    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        return asyncio.run(run())
    except LedgerError:
        return REFUSED
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is none of ours, and that is told
        sys.stderr.write(f"{error!r}\n")
        return FOREIGN


def serve() -> None:
    """Answer requests until stdin ends."""
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(act(wanted["scene"], Path(wanted["home"])))
        os.waitpid(child, os.WUNTRACED)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
