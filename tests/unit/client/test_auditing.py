"""Two ledgers held against each other: what differs is named, what strangers append is not."""

from __future__ import annotations

import asyncio
import base64
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ledger.client.auditing import audit
from ledger.client.embedded import SqliteBackend
from ledger.core.backend import Claimed
from ledger.engine.genesis import create_log
from ledger.home.clock import SystemClock
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.client.auditing import Report
    from ledger.core.backend import Head

OURS, STRANGER = "0xaa", "0xbb"


class Chain:
    """A mirror that holds what it is told."""

    def __init__(self, log: SqliteBackend, *claims: Claimed) -> None:
        self._log = log
        self._claims = claims

    async def head(self) -> Head:
        return await self._log.head()

    async def claims(self) -> AsyncIterator[Claimed]:
        for one in self._claims:
            yield one


async def opened(folder: Path, network: SmallNetwork, *names: str) -> SqliteBackend:
    """Return a log of the network with these policies."""
    path = folder / "log.db"
    await create_log(path, network.first, network.keys, SystemClock())
    log = await asyncio.to_thread(SqliteBackend, path, network.keys, SystemClock())
    await log.append([network.put(name).entry for name in names])
    return log


async def against(log: SqliteBackend, network: SmallNetwork, *claims: Claimed) -> Report:
    mirror: Any = Chain(log, *claims)
    told: list[tuple[int, int]] = []
    found = await audit(log, mirror, network.id, lambda done, whole: told.append((done, whole)))
    size = (await log.head()).size
    assert told == sorted(told)
    assert {whole for _, whole in told} == {2 * size}
    assert told[0] == (size, 2 * size)
    return found


async def test_a_whole_mirror_is_the_log_and_one_behind_is_no_difference(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = await opened(tmp_path, network, "a", "b")
    head = await log.head()
    entries, note = tuple(await log.read(0, head.size)), head.checkpoint or b""
    found = await against(log, network, Claimed(0, entries[:2], note, 7, "0x1", OURS), Claimed(1, entries[1:], note, 8, "0x2", OURS))
    assert (found.differences, found.sizes, found.notes, found.remarks) == ([], (head.size, head.size), 2, [])
    behind = await against(log, network, Claimed(0, entries[:2], note, 7, "0x1", OURS))
    assert (behind.differences, behind.sizes) == ([], (head.size, 2))
    assert "behind" in behind.remarks[0]
    await log.close()


async def test_what_is_wrong_is_named_unless_a_stranger_appended_it(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = await opened(tmp_path, network, "a", "b")
    head = await log.head()
    entries, note = tuple(await log.read(0, head.size)), head.checkpoint or b""
    spoilt = Claimed(0, (*entries[:1], b"junk", *entries[2:]), note, 7, "0x1", OURS)
    found = await against(log, network, spoilt)
    [one] = found.differences
    assert (one.index, one.block, one.transaction) == (1, 7, "0x1")
    assert (one.first, one.second) == (sha256(entries[1]).hexdigest(), sha256(b"junk").hexdigest())
    whole = Claimed(0, entries, note, 8, "0x2", OURS)
    assert (await against(log, network, spoilt, whole)).differences == []
    text, _, lines = note.partition(b"\n\n")
    made_up = b"\n".join((*text.split(b"\n")[:2], base64.b64encode(bytes(32)))) + b"\n\n" + lines
    alien = Claimed(2**63 - 1, (b"x",), made_up, 9, "0x3", STRANGER)
    found = await against(log, network, whole, alien)
    assert found.differences == []
    assert "strangers" in found.remarks[-1]
    assert not found.split
    await log.close()


async def test_two_trees_of_one_key_are_a_split(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = await opened(tmp_path, network, "a")
    await log.close()
    shutil.copytree(tmp_path, tmp_path / "fork", ignore=shutil.ignore_patterns("fork"))
    clock = SystemClock()
    one = await asyncio.to_thread(SqliteBackend, tmp_path / "log.db", network.keys, clock)
    two = await asyncio.to_thread(SqliteBackend, tmp_path / "fork" / "log.db", network.keys, clock)
    await one.append([network.put("left").entry])
    await two.append([network.put("right").entry])
    found = await audit(one, two, network.id)
    assert ([difference.index for difference in found.differences], found.split) == ([found.sizes[0] - 1], True)
    head = await two.head()
    forked = Claimed(0, tuple(await two.read(0, head.size)), head.checkpoint or b"", 5, "0x5", OURS)
    mirror: Any = Chain(one, forked)
    turned = await audit(mirror, one, network.id)
    assert turned.split
    assert {difference.what for difference in turned.differences} == {"entry", "checkpoint"}
    assert {difference.transaction for difference in turned.differences} == {"0x5"}
    await one.close()
    await two.close()


async def test_a_ledger_of_another_network_is_called_one(tmp_path: Path) -> None:
    network, foreign = SmallNetwork(), SmallNetwork(name="elsewhere")
    (tmp_path / "other").mkdir()
    log, other = await opened(tmp_path, network, "a"), await opened(tmp_path / "other", foreign, "a")
    said = "the second is the ledger of another network than this home's"
    assert (await audit(log, other, network.id)).remarks == [said]
    told: list[tuple[int, int]] = []
    assert (await audit(log, log, network.id, lambda done, whole: told.append((done, whole)))).remarks == []
    size = (await log.head()).size
    assert told == [(size, 2 * size), (2 * size, 2 * size)]
    await log.close()
    await other.close()
