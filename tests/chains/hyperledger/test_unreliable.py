"""Writing to a channel whose parts are killed, frozen, refuse and forget, at any moment: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
import json
import os
import random
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters import direct
from blockchain_adapters.chainfile import total
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.hyperledger.backend import scheme, start_writing
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.bridge import Pace as Life
from blockchain_adapters.hyperledger.faults import UnknownIdentityError
from blockchain_adapters.hyperledger.identity import adopt_identity
from blockchain_adapters.hyperledger.writer import Patience, Writer
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import (
    BusyError,
    ConflictError,
    InvalidError,
    LedgerError,
    NotAllowedError,
    NotReadyError,
    OutcomeUnknown,
    UnavailableError,
    UnreachableError,
)
from ledger.engine.journal import State
from ledger.home.backends import BackendContext
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url
from tests.support.chain_writing import states, until
from tests.support.channel import PACE, Bench, ledger_url, write_identity
from tests.support.fabric.shape import MSP
from tests.support.small_network import Heard, SmallNetwork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from blockchain_adapters.hyperledger.source import FabricSource
    from blockchain_adapters.opening import HomeWriting
    from tests.support.fabric.shape import FabricNetwork
    from tests.support.fabric.standin import StandIn

pytestmark = [pytest.mark.java, pytest.mark.timeout(120)]

EACH = 10  # entries a round
LONGEST = 0.1
AWAY = 0.2
SHORT = 4.0  # seconds that a certificate lasts
QUICK = Patience(look=2.0, stuck=0.5, rest=0.05)
HASTY = Life(patience=3.0, rest=0.01)  # of the bridge: more than its peer has, much less than a test


async def standing(source: FabricSource) -> list[bytes]:
    """Return all entries that stand in the channel, in its order."""
    await source.poll()
    unpacked = source.kept.unpacked
    return await source.kept.read(lambda connection: direct.read_places(connection, unpacked, 0, total(connection)))


async def settled(source: FabricSource, writing: HomeWriting) -> None:
    """Wait until everything in the journal is final."""

    async def done() -> bool:
        with suppress(LedgerError):
            await source.poll()
        writing.wake()
        return await states(writing.journal) == {State.FINAL}

    await until(done, "the end of what is under way")


# -- any part, any moment --------------------------------------------------------------------------------------------


def killed(part: str) -> Callable[[FabricNetwork], Awaitable[None]]:
    async def strike(network: FabricNetwork) -> None:
        await asyncio.to_thread(network.kill, part)
        await asyncio.sleep(AWAY)
        await network.start(part)

    return strike


def frozen(part: str) -> Callable[[FabricNetwork], Awaitable[None]]:
    async def strike(network: FabricNetwork) -> None:
        network.freeze(part)
        await asyncio.sleep(3 * AWAY)
        network.thaw(part)

    return strike


def jvm_killed(source: FabricSource) -> Callable[[FabricNetwork], Awaitable[None]]:
    async def strike(network: FabricNetwork) -> None:
        pid = source.bridge.pid
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)

    return strike


def jvm_frozen(source: FabricSource) -> Callable[[FabricNetwork], Awaitable[None]]:
    async def strike(network: FabricNetwork) -> None:
        pid = source.bridge.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, SIGSTOP)
            with suppress(UnreachableError, NotReadyError):
                await source.bridge.ask("ping", {})  # whose time runs out: it finds out, if no transaction did before
            os.kill(pid, SIGCONT)

    return strike


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(20, marks=pytest.mark.timeout(180)), pytest.param(100, marks=[pytest.mark.siege, pytest.mark.timeout(900)])],
)
async def test_what_dies_or_hangs_in_mid_batch_loses_and_doubles_nothing(bench: Bench, parts: tuple[Path, Path], rounds: int) -> None:
    network = bench.network
    bench.bridge = Bridge(*parts, HASTY)
    chance = random.Random(rounds)
    source = await bench.source(*(replace(network.profile(peer=one), patience=1.0) for one in range(len(network.peers))))
    writing, _ = await bench.writing(source, pace=replace(PACE, batch=4), patience=QUICK)
    entries = [one.entry for one in SmallNetwork().things(EACH * rounds)]
    strikes = [*map(killed, network.parts), *map(frozen, network.parts), jvm_killed(source), jvm_frozen(source)]
    for number in range(rounds):
        task = asyncio.create_task(writing.submit(entries[number * EACH : (number + 1) * EACH]))
        await asyncio.sleep(chance.uniform(0, LONGEST))
        await strikes[number % len(strikes)](network)
        try:
            await task
        except UnavailableError as error:  # what left nothing behind is asked for again, what may have left goes on by itself
            if not isinstance(error, OutcomeUnknown):
                await writing.submit(entries[number * EACH : (number + 1) * EACH])
    await settled(source, writing)
    assert await standing(source) == entries


# -- faults that only the stand-in has on command --------------------------------------------------------------------


@pytest.mark.fabric_standin
@pytest.mark.parametrize(
    ("kind", "fields"),
    [("before", {"phase": "submit"}), ("after", {"phase": "submit"}), ("conflict", {}), ("restart", {"ms": 100})],
)
async def test_a_transaction_that_is_dropped_or_conflicts_has_one_effect(
    lone: Bench, standin: StandIn, things: list[bytes], kind: str, fields: dict[str, str | int]
) -> None:
    source = await lone.source()
    writing, _ = await lone.writing(source, patience=QUICK)
    for at in range(0, 30, 10):
        await standin.strike(kind, **fields)
        await writing.submit(things[at : at + 10])
    await settled(source, writing)
    assert await standing(source) == things[:30]


@pytest.mark.fabric_standin
async def test_what_an_orderer_holds_is_not_found_and_not_sent_as_another(lone: Bench, standin: StandIn, things: list[bytes]) -> None:
    source = await lone.source()
    writing, _ = await lone.writing(source, patience=QUICK)
    await standin.strike("delay", phase="order", ms=2_500)
    await writing.submit(things[:5])
    await settled(source, writing)
    assert await standing(source) == things[:5]
    [submitted] = {one.place for one in await writing.journal.select()}
    assert submitted is not None


@pytest.mark.fabric_standin
async def test_a_bridge_that_hangs_while_a_transaction_leaves_says_nothing_of_it(
    lone: Bench, parts: tuple[Path, Path], standin: StandIn, things: list[bytes]
) -> None:
    lone.bridge = Bridge(*parts, HASTY)
    source = await lone.source()
    writing, _ = await lone.writing(source, patience=QUICK)
    await writing.submit(things[:5])
    first = source.bridge.pid
    assert first is not None
    await standin.strike("delay", phase="submit", ms=1_000)
    task = asyncio.create_task(writing.submit(things[5:10]))

    async def sent() -> bool:
        return State.SENT in await states(writing.journal)

    await until(sent, "a transaction on its way")
    os.kill(first, SIGSTOP)
    try:
        row = writing.submitter.underway[-1]
        await task  # the bridge is killed for it, and the transaction is looked up by the next one
    finally:
        with suppress(ProcessLookupError):
            os.kill(first, SIGCONT)
    assert source.bridge.pid != first
    await settled(source, writing)
    assert await standing(source) == things[:10]
    assert row.place in {one.place for one in await writing.journal.select()}  # that very one, and no other in its place


@pytest.mark.fabric_standin
async def test_one_journalled_transaction_sent_by_two_processes_has_one_effect(lone: Bench, standin: StandIn, things: list[bytes]) -> None:
    """A copy of a home is opened while the first one is still sending: both send the same transaction."""
    source, other = await lone.source(), await lone.source()
    writing, writer = await lone.writing(source, patience=QUICK)
    await standin.strike("before", phase="submit", count=100)
    task = asyncio.create_task(writing.submit(things[:5]))

    async def sent() -> bool:
        return await states(writing.journal) == {State.SENT}

    await until(sent, "a transaction on its way")
    [row] = writing.submitter.underway
    await standin.spare()
    second = lone.writer(other, QUICK)
    await asyncio.gather(*(one.send(row.ticket) for one in (second, writer, second)), return_exceptions=True)
    await task
    await settled(source, writing)
    assert await standing(other) == await standing(source) == things[:5]


@pytest.mark.fabric_standin
async def test_an_entry_that_endorsers_refuse_is_a_dead_letter_in_nobodys_way(lone: Bench, standin: StandIn, things: list[bytes]) -> None:
    source = await lone.source()
    writing, _ = await lone.writing(source, patience=QUICK)
    await standin.strike("refuse", phase="endorse", message="EMPTY: not this one")
    [refused] = await writing.submit(things[:1])
    assert isinstance(refused, InvalidError)
    assert "not this one" in str(refused)
    await writing.submit(things[1:3])
    [dead] = await writing.journal.select([State.DEAD])
    assert "not this one" in str(dead.reason)
    await writing.submitter.retry(dead.number)
    await settled(source, writing)
    assert await standing(source) == [*things[1:3], things[0]]


async def test_who_may_not_append_is_told_and_nothing_is_kept(bench: Bench, things: list[bytes]) -> None:
    source = await bench.source()
    writing, writer = await bench.writing(source, patience=QUICK)
    assert (await writer.standing()).policy is not None
    rule = {"msp": MSP, "attribute": "metaledger.append", "value": "true"}
    policy = json.dumps({"append": [rule], "admin": [{"msp": MSP}]}).encode()
    endorsed = await source.ask(lambda provider: provider.peer.endorse("Configure", policy))
    await source.ask(lambda provider: provider.peer.submit(endorsed))
    await source.ask(lambda provider: provider.peer.committed(endorsed.transaction, 20.0))
    with pytest.raises(NotAllowedError, match="may not append"):
        await writing.submit(things[:1])
    assert await writing.journal.select() == []
    await asyncio.to_thread(bench.network.add_user, "author", attributes={"metaledger.append": "true"})
    allowed = await bench.source(bench.network.profile("author"))
    await (await bench.writing(allowed, patience=QUICK))[0].submit(things[:1])
    assert await standing(source) == things[:1]


async def test_of_two_anchors_for_one_size_one_counts(bench: Bench, things: list[bytes]) -> None:
    first, second = await bench.source(), await bench.source()
    writings = [(await bench.writing(one, patience=QUICK))[0] for one in (first, second)]
    await asyncio.gather(first.poll(), second.poll())
    parcel = Parcel(tuple(things[:3]), start=0, size=3, root=bytes(32), note=b"a note")
    results = await asyncio.gather(*(one.carry(parcel) for one in writings), return_exceptions=True)
    assert sum(isinstance(one, (ConflictError, UnavailableError)) for one in results) == 1, results
    assert await standing(first) == things[:3]


async def test_an_anchor_is_not_made_over_one_that_was_not_read(bench: Bench, things: list[bytes]) -> None:
    first, second = await bench.source(), await bench.source()
    await asyncio.gather(first.poll(), second.poll())
    parcel = Parcel(tuple(things[:3]), start=0, size=3, root=bytes(32), note=b"a note")
    await (await bench.writing(first, patience=QUICK))[0].carry(parcel)
    writer = bench.writer(second, QUICK)
    with pytest.raises(BusyError, match="not read yet"):
        await writer.prepare(parcel)
    await second.poll()
    await writer.prepare(parcel)
    assert await standing(first) == things[:3]


@pytest.mark.fabric_standin
async def test_what_a_home_left_under_way_is_looked_after_when_it_is_opened_again(
    standin: StandIn, tmp_path: Path, things: list[bytes]
) -> None:
    url = parse_ledger_url(ledger_url(standin, tmp_path))
    home = Home(tmp_path / "home")
    await asyncio.to_thread(home.create)
    await asyncio.to_thread(adopt_identity, write_identity(standin, tmp_path), home.keys / "fabric.id")
    context = BackendContext(home, Settings(), SystemClock(), Heard())
    first = await scheme.begin(url, context, "00" * 32)
    await standin.strike("before", phase="submit", count=100)
    task = asyncio.create_task(first.append(things[:3]))
    backend = await scheme.begin(url, context, "00" * 32)
    assert isinstance(backend, DirectBackend)

    async def sent() -> bool:
        assert backend.outstanding is not None
        with suppress(LedgerError):  # the journal is being made
            return await backend.outstanding() > 0
        return False

    await until(sent, "a transaction on its way")
    await first.close()
    with pytest.raises(LedgerError):
        await task
    await standin.spare()

    async def gone() -> bool:
        assert backend.outstanding is not None
        await backend.catch_up()
        await backend.tend()
        return not await backend.outstanding()

    await until(gone, "the end of it")
    source = backend.source
    unpacked = source.kept.unpacked
    assert await source.kept.read(lambda connection: direct.read_places(connection, unpacked, 0, 9)) == things[:3]
    await backend.close()


async def test_a_certificate_that_expires_in_mid_writing_loses_and_doubles_nothing(bench: Bench, things: list[bytes]) -> None:
    """What was told to stand does; what was not can be told again, by the same journal under a new certificate."""
    await asyncio.to_thread(bench.network.add_user, "short", valid=timedelta(seconds=SHORT))
    source = await bench.source(bench.network.profile("short"))
    writing, _ = await bench.writing(source, patience=QUICK)
    stood = 0
    refused: UnknownIdentityError | None = None
    while refused is None:
        try:
            await writing.submit(things[stood : stood + 2])
            stood += 2
            await asyncio.sleep(SHORT / 15)
        except UnknownIdentityError as error:
            refused = error
    await writing.close()
    renewed = await bench.source()
    path = bench.folder / "journal-1.db"
    again = await start_writing(renewed, Writer(renewed, QUICK), path, (SystemClock(), Heard()), PACE)
    bench.stack.push_async_callback(again.close)
    assert State.SENT not in await states(again.journal)  # what was refused waits for nobody
    await again.submit(things[stood : stood + 2])
    await settled(renewed, again)
    assert stood
    assert await standing(renewed) == things[: stood + 2]
