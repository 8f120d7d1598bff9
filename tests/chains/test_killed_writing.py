"""A writer that is killed again and again, at any moment: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from ledger.core.canonical import sha256_hex
from ledger.core.envelope import parse_envelope
from ledger.engine.journal import State
from tests.support.chain_writing import CONFIRMATIONS, entries_of, opened_journal, submitting
from tests.support.small_network import SmallNetwork
from tests.support.writing_process import BATCH, started

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil
    from tests.support.contract import Contract

EACH = 30  # entries a round: more than one lives to send
LONGEST = 0.3


@pytest.mark.parametrize("rounds", [20, pytest.param(100, marks=[pytest.mark.siege, pytest.mark.timeout(600)])])
async def test_what_is_killed_in_mid_batch_goes_on(contract: Contract, anvil: Anvil, tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "journal.db"
    entries = [one.entry for one in SmallNetwork().things(EACH * rounds)]
    intents = [(sha256_hex(parse_envelope(one).payload), one) for one in entries]
    chance = random.Random(rounds)
    async with opened_journal(path) as journal:
        await journal.add_many(contract.address, intents)
    for _ in range(rounds):
        process = await asyncio.to_thread(started, contract, path)
        await asyncio.sleep(chance.uniform(0.02, LONGEST))
        if chance.random() < 0.3:
            await anvil.mine(CONFIRMATIONS)
        process.kill()
        await asyncio.to_thread(process.join)
    before = await entries_of(contract)
    assert before == entries[: len(before)]
    assert before  # it lived long enough to write
    async with opened_journal(path) as journal, submitting(contract, journal) as submitter:
        while {one.state for one in await journal.select()} != {State.FINAL}:
            await anvil.mine(CONFIRMATIONS + 1)
            submitter.wake()
            await asyncio.sleep(0.05)
    assert await entries_of(contract) == entries
    assert BATCH < EACH
