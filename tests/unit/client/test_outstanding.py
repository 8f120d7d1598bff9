"""Which answers strike a statement out, and what a copy says of the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.client.answers import Published
from ledger.client.outstanding import UNQUEUED, JournalSlips, settle
from ledger.client.publishing import is_answered
from ledger.core.errors import BusyError, InternalError, LedgerError, NotAllowedError, OutcomeUnknown, ProofError, VersionMismatchError
from ledger.engine.genesis import create_log
from ledger.engine.journal import Journal, State
from ledger.engine.store import Store
from tests.support.small_network import SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await asyncio.to_thread(Journal.at, tmp_path / "journal.db", TurnedClock())
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.mark.parametrize(
    ("error", "index", "answered"),
    [
        (None, 7, True),
        (NotAllowedError("no"), None, True),
        (VersionMismatchError("late"), None, True),
        (OutcomeUnknown("?", operation="commit"), None, False),
        (BusyError("later"), None, False),
        (InternalError("oh"), None, False),
        (ProofError("the receipt is of another statement"), 7, False),
    ],
)
def test_only_a_proof_or_a_refusal_is_an_answer(error: LedgerError | None, index: int | None, answered: bool) -> None:
    assert is_answered(Published("a", "thing", "refused", "d", index, error=error)) is answered


async def left(tmp_path: Path, journal: Journal, network: SmallNetwork, logged: list[Envelope], sent: list[Envelope]) -> list[str]:
    """Return the states of what is left of `sent` when the copy holds `logged`."""
    path = tmp_path / "ledger.db"
    await create_log(path, [*network.first, *logged], network.keys, TurnedClock())

    async def opened() -> Journal:
        return journal

    await JournalSlips(opened).note(sent)
    store = await asyncio.to_thread(lambda: Store.open(path, writable=False))
    try:
        await settle(journal, store)
    finally:
        await asyncio.to_thread(store.close)
    return [one.state.value for one in await journal.select(tuple(State), target=UNQUEUED)]


async def test_what_follows_the_last_version_of_the_copy_or_a_later_one_is_left(tmp_path: Path, journal: Journal) -> None:
    network = SmallNetwork()
    logged = [network.put("a", n=1)]
    following = network.put("a", n=2)
    beyond = network.put("a", n=3)  # follows what the copy does not know
    fresh = network.put("b")
    assert await left(tmp_path, journal, network, logged, [following, beyond, fresh]) == ["sent"] * 3


async def test_what_is_logged_or_was_outrun_is_struck_out(tmp_path: Path, journal: Journal) -> None:
    network = SmallNetwork()
    first = network.put("a", n=1)
    outrun = network.signed("put", "thing", "a", {"n": 9}, prev=first.statement.digest)
    second = network.put("a", n=2)
    taken = network.signed("put", "thing", "a", {"n": 8}, prev=None)
    assert await left(tmp_path, journal, network, [first, second], [second, outrun, taken]) == []


async def test_the_drop_of_a_member_waits_for_a_drop_whatever_it_follows(tmp_path: Path, journal: Journal) -> None:
    network = SmallNetwork()
    body: JSONObject = {"name": "other", "type": "user", "key": key("other").public.text, "permissions": ["everything"]}
    made = network.signed("put", "member", "m", body, extra=("other",))
    drop = network.signed("drop", "member", "m", None, prev="0" * 64)
    changed = network.signed("put", "member", "m", {**body, "note": {}}, "other")
    assert await left(tmp_path, journal, network, [made, changed], [drop]) == ["sent"]


async def test_what_a_key_signed_that_is_gone_is_a_dead_letter(tmp_path: Path, journal: Journal) -> None:
    network = SmallNetwork()
    body: JSONObject = {"name": "author", "type": "user", "key": key("next").public.text, "permissions": ["everything"]}
    rotated = network.signed("put", "member", "member-author", body, "author", extra=("next",))
    assert await left(tmp_path, journal, network, [rotated], [network.put("a")]) == ["dead"]
