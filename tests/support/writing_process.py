"""A process that writes to a contract until it is done or killed: what `kill -9` is tried on."""

from __future__ import annotations

import asyncio
import multiprocessing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.chain_writing import PACE, opened_journal, submitting
from tests.support.contract import ContractAt

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from tests.support.contract import Endpoint

BATCH = 10


@dataclass
class Remote:
    """The chain, as a process knows it that only writes."""

    url: str
    chain: int
    key: str


def write_on(url: str, chain: int, key: str, address: str, journal: str) -> None:
    """Send what the journal holds, for ever."""

    async def work() -> None:
        contract = ContractAt(Remote(url, chain, key), address)
        pace = replace(PACE, batch=BATCH, first=0.002)
        async with opened_journal(Path(journal)) as opened, submitting(contract, opened, pace=pace):
            await asyncio.Event().wait()

    asyncio.run(work())


def started(contract: ContractAt[Endpoint], journal: Path) -> BaseProcess:
    """Start such a process. It is forked from a server that has loaded everything already, so that a round takes no second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    node = contract.node
    process = context.Process(target=write_on, args=(node.url, node.chain, node.key, contract.address, str(journal)), daemon=True)
    process.start()
    return process
