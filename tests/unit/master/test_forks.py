"""Which checkpoints show that this master must sign no more, and which count for nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.envelope import sign
from ledger.core.errors import FormatError, SignatureError
from ledger.core.note import Note, log_line, parse_note
from ledger.engine.genesis import create_log
from ledger.engine.sequencer import Sequencer
from ledger.engine.signing import SequencerKeys, log_vkey
from ledger.engine.store import Store
from master.forks import ForkRoutes, compare, parse_presented
from tests.support.small_network import ORIGIN, SmallNetwork, TurnedClock, key, root_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from master.forks import Comparison


class Log:
    """A log whose first key was given up at size 6, and whose second key is open."""

    def __init__(self, store: Store, sequencer: Sequencer, network: SmallNetwork) -> None:
        self.store = store
        self.sequencer = sequencer
        self.network = network

    @property
    def note(self) -> bytes:
        assert self.sequencer.feed.head.checkpoint is not None
        return self.sequencer.feed.head.checkpoint

    def compare(self, note: Note, *roots: Envelope) -> Comparison:
        return self.store.read_now(lambda snapshot: compare(snapshot, note, [root.entry for root in roots]))


def claim(size: int, signer: str, *, root: bytes = b"\x07" * 32, origin: str = ORIGIN) -> Note:
    text = Checkpoint(origin, size, root).text
    return Note(text, (log_line(text, origin, key(signer)),))


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    network, clock = SmallNetwork(), TurnedClock()
    await create_log(tmp_path / "ledger.db", network.first, network.keys, clock)
    store = await asyncio.to_thread(Store.open, tmp_path / "ledger.db")
    sequencer = Sequencer(store, SequencerKeys((key("log"), key("log-2")), key("clock"), key("mark")), clock=clock)
    await sequencer.start()
    listed = [{"vkey": log_vkey(ORIGIN, key("log")), "until": 6}, {"vkey": log_vkey(ORIGIN, key("log-2")), "until": None}]
    await sequencer.append([network.next_root(2, log_keys=listed)])
    await sequencer.append(network.things(5))
    yield Log(store, sequencer, network)
    await sequencer.close()
    await asyncio.to_thread(store.close)


async def test_note_of_this_log_fits(log: Log) -> None:
    found = log.compare(parse_note(log.note))
    assert (found.fits, found.size) == (True, log.sequencer.feed.head.size)


@pytest.mark.parametrize("size", [6, 9, 10_000])
async def test_note_of_another_tree_by_an_open_key_does_not_fit(log: Log, size: int) -> None:
    assert not log.compare(claim(size, "log-2")).fits


@pytest.mark.parametrize("size", [3, 6, 9, 10_000])
async def test_note_by_a_key_that_was_given_up_counts_for_nothing(log: Log, size: int) -> None:
    with pytest.raises(SignatureError, match="no open log key"):
        log.compare(claim(size, "log"))


async def test_note_by_a_stranger_or_of_another_origin_counts_for_nothing(log: Log) -> None:
    with pytest.raises(SignatureError, match="no open log key"):
        log.compare(claim(100, "stranger"))
    with pytest.raises(SignatureError, match="another log"):
        log.compare(claim(100, "log-2", origin="ledger.internal/other/0011223344556677"))


def listing(*names: str) -> list[dict[str, object]]:
    return [{"vkey": log_vkey(ORIGIN, key(name)), "until": None} for name in names]


async def test_note_by_a_key_that_is_not_known_here_counts_by_the_roots_that_prove_it(log: Log) -> None:
    """What a copy that is older than a rotation is shown: its own last root is 2, the node's is 4."""
    third = log.network.next_root(3, log_keys=listing("log-3"))
    fourth = log.network.next_root(4, log_keys=listing("log-4"))
    note = claim(100, "log-4")
    for roots in ((), (third,), (fourth,), (fourth, third)):
        with pytest.raises(SignatureError, match="no open log key"):
            log.compare(note, *roots)
    assert not log.compare(note, third, fourth).fits
    assert not log.compare(note, log.network.root, third, fourth).fits  # those that it has are passed over


async def test_roots_that_no_admin_signed_prove_nothing(log: Log) -> None:
    false = log.network.signed("put", "root", "root", root_body(version=3, log_keys=listing("thief")), "root")
    forged = sign(false.statement, [key("thief")])
    with pytest.raises(SignatureError, match="no open log key"):
        log.compare(claim(100, "thief"), forged)


def test_what_is_presented_is_a_note_and_at_most_sixteen_roots() -> None:
    note = claim(100, "log").encode()
    assert parse_presented(note) == (note, [])
    assert parse_presented(note + b"\n" + b"YQ==\nYg==\n") == (note, [b"a", b"b"])
    assert parse_presented(b"junk") == (b"junk", [])
    for rest in (b"YQ==\n" * 17, b"no base64!\n"):
        with pytest.raises(FormatError):
            parse_presented(note + b"\n" + rest)


async def test_key_of_a_root_that_is_none_is_passed_over(log: Log) -> None:
    listed = [{"vkey": "nonsense", "until": None}, {"vkey": log_vkey(ORIGIN, key("log-2")), "until": None}]
    await log.sequencer.append([log.network.next_root(3, log_keys=listed)])
    assert log.compare(parse_note(log.note)).fits


def test_one_case_is_kept_once_however_its_note_is_dressed(tmp_path: Path) -> None:
    async def alarm(_reason: str, _found: Comparison) -> None:
        return

    store = Store.open(tmp_path / "ledger.db", create=True)
    routes = ForkRoutes(store, alarm, tmp_path / "evidence")
    for dress in (b"first", b"second", b"third"):
        routes._keep("one claim", dress, b"ours")
    routes._keep("other claim", b"fourth", None)
    kept = sorted(path.read_bytes() for path in (tmp_path / "evidence").iterdir())
    assert kept == [b"first", b"fourth", b"ours"]
    store.close()
