"""Export files of logs that are odd in one thing: void entries, marks that lie, checkpoints that others signed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.client.exportcheck import verify_export
from ledger.client.exportfile import ExportFile, write_export
from ledger.client.restoring import import_export
from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import NotFoundError
from ledger.core.note import Note, log_line
from ledger.engine.store import Store
from ledger.home.home import Home
from tests.support.small_copy import SmallLog, copied_log
from tests.support.small_network import IAT, ORIGIN, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.checking import Checked
    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope


def exported(log: SmallLog, target: Path, *, signer: str = "log", claimed: int = 0) -> Path:
    """Export the log with a checkpoint by that key; it claims `claimed` entries more than there are."""
    head = log.look(lambda snapshot: snapshot.head())
    text = Checkpoint(ORIGIN, head.size + claimed, head.root).text
    note = Note(text, (log_line(text, ORIGIN, key(signer)),)).encode()
    log.change("INSERT OR REPLACE INTO checkpoint(size, note) VALUES(?, ?)", head.size, note)

    async def write() -> bytes:
        store = await asyncio.to_thread(lambda: Store.open(log.path, writable=False))
        parts: list[bytes] = []
        try:
            await write_export(store, parts.append)
        finally:
            await asyncio.to_thread(store.close)
        return b"".join(parts)

    target.write_bytes(asyncio.run(write()))
    return target


def check(path: Path, network: SmallNetwork, *, deep: bool = False) -> Checked:
    with ExportFile(path) as file:
        return verify_export(file, network.id, deep=deep)


def marked(network: SmallNetwork, root: str) -> list[Envelope]:
    """Return a log with a mark that says this of the state after three entries."""
    body: JSONObject = {"time": IAT, "state": {"size": 3, "root": root}}
    return [*network.first, network.signed("put", "mark", "mark", body, "mark"), *network.things(2)]


def test_the_state_in_marks_is_computed_by_a_deep_look_only(tmp_path: Path) -> None:
    network = SmallNetwork(state_every=3)
    (tmp_path / "first").mkdir()
    true = copied_log(tmp_path / "first" / "ledger.db", network.first, network).look(lambda snapshot: snapshot.state().state_root())
    for folder, root, index in (("true", true, None), ("lie", "0" * 64, 3)):
        (tmp_path / folder).mkdir()
        log = copied_log(tmp_path / folder / "ledger.db", marked(SmallNetwork(state_every=3), root), network)
        path = exported(log, tmp_path / f"{folder}.export")
        assert check(path, network).verified is True
        deep = check(path, network, deep=True)
        assert (deep.verified, deep.index) == (index is None, index)


def test_void_entries_travel_with_their_verdict(tmp_path: Path) -> None:
    network = SmallNetwork()
    void = network.signed("put", "thing", "orphan", {"name": "x"}, prev="0" * 64)
    log = copied_log(tmp_path / "ledger.db", [*network.first, void, *network.things(2)], network)
    path = exported(log, tmp_path / "export")
    checked = check(path, network, deep=True)
    assert (checked.verified, checked.void, checked.accepted) == (True, 1, 5)

    with ExportFile(path) as file:
        assert file.header.void == (3,)
        asyncio.run(import_export(Home(tmp_path / "copy"), file, TurnedClock()))
    copy = SmallLog(network, tmp_path / "copy" / "ledger.db")
    voids = [one.look(lambda snapshot: [(void.index, void.code) for void in snapshot.voids()]) for one in (log, copy)]
    assert voids[0] == voids[1] != []


@pytest.mark.parametrize(("signer", "claimed", "said"), [("author", 0, "not good"), ("log", 1, "is for size 7")])
def test_a_checkpoint_of_another_key_or_tree_is_refused(tmp_path: Path, signer: str, claimed: int, said: str) -> None:
    network = SmallNetwork()
    log = copied_log(tmp_path / "ledger.db", [*network.first, *network.things(3)], network)
    assert check(exported(log, tmp_path / "good"), network).verified is True
    checked = check(exported(log, tmp_path / "bad", signer=signer, claimed=claimed), network)
    assert (checked.verified, said in checked.detail) == (False, True)


def test_without_a_checkpoint_there_is_nothing_to_export(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = copied_log(tmp_path / "ledger.db", network.first, network)

    async def write() -> None:
        store = await asyncio.to_thread(lambda: Store.open(log.path, writable=False))
        try:
            await write_export(store, bytes)
        finally:
            await asyncio.to_thread(store.close)

    with pytest.raises(NotFoundError, match="no signed checkpoint"):
        asyncio.run(write())
