"""The replica: what is applied is judged and committed whole with its trust state, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types
import pytest

from ledger.core.envelope import Signature, seal, sign
from ledger.core.errors import LedgerError, UsageError
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.statement import Statement
from ledger.core.trust.state import TrustState
from ledger.engine.replica import MANY, Replica
from ledger.engine.store import Store
from tests.support.small_network import IAT, SmallNetwork, key, root_body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope


class Copy:
    """A replica of a small network, and the entries that were sent to it."""

    def __init__(self, store: Store, network: SmallNetwork) -> None:
        self.network = network
        self.store = store
        self.replica = Replica(store, network.id)
        self.expected = 0  # entries that an intake is told to expect; many get a process that verifies

    async def take(self, envelopes: Sequence[Envelope | bytes], *, page: int = 7, taken: bool = True, back: int | None = None) -> None:
        """Apply entries page by page, then take them or not."""
        entries = [one if isinstance(one, bytes) else one.entry for one in envelopes]
        async with self.replica.intake(self.expected) as intake:
            if back is not None:
                await intake.go_back(back)
            for start in range(0, len(entries), page):
                await intake.apply(entries[start : start + page])
            if taken:
                intake.take(TrustState(self.network.id, note=b"note"))

    async def size(self) -> int:
        return await self.store.read(lambda snapshot: snapshot.head().size)

    async def state_root(self) -> str:
        return await self.store.read(lambda snapshot: snapshot.state().state_root())


@pytest.fixture
async def copy(tmp_path: Path) -> AsyncIterator[Copy]:
    store = await asyncio.to_thread(lambda: Store.open(tmp_path / "ledger.db", create=True))
    made = Copy(store, SmallNetwork())
    await made.replica.pin()
    yield made
    await asyncio.to_thread(made.replica.close)
    await asyncio.to_thread(store.close)


def forged(network: SmallNetwork) -> Envelope:
    """Return an entry whose signature is another's."""
    good = network.signed("put", "thing", "forged", {"x": 1}, prev=None)
    return seal(good.payload, [Signature(good.signatures[0].keyid, bytes(64))])


async def test_taken_entries_verdicts_note_and_trust_are_committed_together(copy: Copy) -> None:
    envelopes = [*copy.network.first, *copy.network.things(60)]
    envelopes.insert(20, forged(copy.network))
    async with copy.replica.intake() as intake:
        for start in range(0, len(envelopes), 25):
            await intake.apply([one.entry for one in envelopes[start : start + 25]])
        size, root, roots = await intake.judge(lambda view: (view.size, view.root_at(64), view.roots()))
        intake.take(TrustState(copy.network.id, note=b"note"))
        assert not await copy.size()
    tree = Frontier()
    tree.append_many(leaf_hashes(one.entry for one in envelopes))
    assert (size, root) == (64, tree.root())
    assert [one.digest for one in roots] == [copy.network.id]
    assert (intake.accepted, intake.void) == (63, 1)
    assert await copy.size() == 64
    assert (await copy.replica.trust()).note == b"note"
    assert await copy.store.read(lambda snapshot: snapshot.checkpoint(64)) == b"note"
    [void] = await copy.store.read(lambda snapshot: snapshot.voids())
    assert (void.index, void.code) == (20, "bad-signature")


async def test_what_is_not_taken_or_raises_is_undone(copy: Copy) -> None:
    await copy.take(copy.network.first)
    before = await copy.state_root()
    await copy.take(copy.network.things(9), taken=False)
    with pytest.raises(ZeroDivisionError):
        await fail_midway(copy)
    assert (await copy.size(), await copy.state_root()) == (3, before)
    await copy.take(copy.network.things(2, start=50))
    assert await copy.size() == 5


async def fail_midway(copy: Copy) -> None:
    async with copy.replica.intake() as intake:
        await intake.apply([one.entry for one in copy.network.things(4, start=20)])
        raise ZeroDivisionError


async def test_junk_is_stored_as_void(copy: Copy) -> None:
    await copy.take([*copy.network.first, b"", b"\x00junk", b"{}"])
    assert [one.code for one in await copy.store.read(lambda snapshot: snapshot.voids())] == ["format"] * 3
    assert await copy.size() == 6


async def test_go_back_then_another_branch(copy: Copy) -> None:
    await copy.take([*copy.network.first, *copy.network.things(10)])
    branch = copy.network.things(4, start=100)
    await copy.take(branch, back=5)
    assert await copy.size() == 9
    assert await copy.store.read(lambda snapshot: snapshot.entries(5, 20)) == [one.entry for one in branch]
    again = await copy.state_root()
    await copy.take([], back=3)
    await copy.take([*copy.network.things(2), *branch])
    assert await copy.size() == 9
    assert again != await copy.state_root()  # the two things are new statements of other ids' versions


async def test_the_view_answers_for_past_sizes_only(copy: Copy) -> None:
    await copy.take([*copy.network.first, *copy.network.things(10)])
    size, roots = await copy.replica.look(lambda view: (view.size, [view.root_at(size) for size in (-1, 0, 1, 13, 14)]))
    assert size == 13
    assert [one is None for one in roots] == [True, False, False, False, True]


async def test_trust_is_saved_alone(copy: Copy) -> None:
    assert await copy.replica.trust() == TrustState(copy.network.id)
    await copy.take(copy.network.first)
    state = TrustState(copy.network.id, note=b"renewed", pending=(b"kept",))
    await copy.replica.save_trust(state)
    assert await copy.replica.trust() == state
    assert await copy.store.read(lambda snapshot: snapshot.checkpoint()) == b"renewed"


async def test_another_network_is_refused(copy: Copy) -> None:
    with pytest.raises(UsageError):
        await Replica(copy.store, "0" * 64).pin()
    other = SmallNetwork(name="other")
    await copy.take(other.first)
    assert [one.index for one in await copy.store.read(lambda snapshot: snapshot.voids())] == [0, 1, 2]


async def test_a_root_of_an_unknown_fold_is_accepted_and_the_last(copy: Copy) -> None:
    last = copy.network.next_root(2, fold=2)
    after = copy.network.things(3)
    envelopes = [*copy.network.first, *copy.network.things(2, start=90), last, *after]
    async with copy.replica.intake() as intake:
        for one in range(0, len(envelopes), 2):
            await intake.apply([each.entry for each in envelopes[one : one + 2]])
        size, root = await intake.judge(lambda view: (view.size, view.root_at(9)))
        intake.take(TrustState(copy.network.id, note=b"note"))
    tree = Frontier()
    tree.append_many(leaf_hashes(one.entry for one in envelopes))
    assert (size, root, intake.halted) == (9, tree.root(), 6)
    assert await copy.size() == 6
    reason = await copy.replica.halted()
    assert reason is not None
    assert "fold 2" in reason
    assert await copy.store.read(lambda snapshot: snapshot.checkpoint(9)) is None
    await copy.take(after)
    assert await copy.size() == 6
    await copy.take([], back=4)
    assert await copy.replica.halted() is None
    await copy.take(copy.network.things(1, start=70))
    assert await copy.size() == 5


@pytest.mark.parametrize("expected", [0, MANY])
async def test_rotated_keys_are_found_by_the_fold_whatever_ran_ahead(copy: Copy, expected: int) -> None:
    """Pages are verified before the fold reaches them, with keys it may no longer take."""
    copy.expected = expected
    network = copy.network
    author: JSONObject = {"name": "author", "type": "user", "key": key("author-2").public.text, "permissions": ["everything"]}
    moved = network.signed("put", "member", "member-author", author, "root", extra=("author-2",))
    stale = network.things(20, start=500)
    body = {"n": 1}
    fresh = sign(Statement(network.id, "put", "thing", "fresh", None, key("author-2").public.keyid, IAT, {**body}), [key("author-2")])
    await copy.take([*network.first, *network.things(30), moved, *stale, fresh], page=20)
    voids = await copy.store.read(lambda snapshot: [one.index for one in snapshot.voids()])
    assert voids == list(range(34, 54))
    assert await copy.store.read(lambda snapshot: snapshot.state().record("fresh")) is not None


@pytest.mark.parametrize("killed", [False, True])
async def test_a_process_verifies_many_and_is_not_needed(copy: Copy, *, killed: bool) -> None:
    await copy.take(copy.network.first)
    things = copy.network.things(120)
    envelopes: list[Envelope | bytes] = [*things[:50], forged(copy.network), b"junk", *things[50:100], forged(copy.network), *things[100:]]
    entries = [one if isinstance(one, bytes) else one.entry for one in envelopes]
    async with copy.replica.intake(MANY) as intake:
        [child] = [one for one in psutil.Process().children() if "ledger.engine.verifier" in one.cmdline()]
        for start in range(0, len(entries), 10):
            await intake.apply(entries[start : start + 10])
            if killed and start == 60:
                child.kill()
        intake.take(TrustState(copy.network.id))
    assert not child.is_running()
    assert [one.index for one in await copy.store.read(lambda snapshot: snapshot.voids())] == [53, 54, 105]
    assert await copy.size() == 3 + len(entries)


async def test_two_intakes_take_turns(copy: Copy) -> None:
    await copy.take(copy.network.first)
    one, other = copy.network.things(2)
    await asyncio.gather(copy.take([one]), copy.take([other]))
    assert await copy.size() == 5
    with pytest.raises(LedgerError):
        await copy.take([], back=-1)
    assert root_body()["fold"] == 1
