"""Publishing: bound to the right version, sent again when another came first, never reported without proof. A fake backend answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.client.authoring import Author, Wish
from ledger.client.publishing import Manner, Pen, Publisher, dropped, patched
from ledger.client.reader import Reader
from ledger.core.backend import Placed, Refused, Traits
from ledger.core.envelope import parse_envelope
from ledger.core.errors import ConflictError, NotFoundError, ProofError, VersionMismatchError
from ledger.engine.store import Store
from tests.support.small_copy import small_log
from tests.support.small_network import SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger.client.answers import Published
    from ledger.core.envelope import Envelope
    from ledger.core.errors import LedgerError
    from ledger.core.statement import Statement


class FakeBackend:
    """Takes statements; refuses as it is told to."""

    def __init__(
        self, refuse: Callable[[Statement, int], LedgerError | None] = lambda _statement, _turn: None, *, judges: bool = True
    ) -> None:
        self.traits = Traits(compare_and_set=True, checkpoints=judges, instant_finality=judges)
        self.turns: list[list[Statement]] = []
        self._refuse = refuse

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        statements = [parse_envelope(envelope).statement for envelope in envelopes]
        self.turns.append(statements)
        return [self._answer(statement, number) for number, statement in enumerate(statements)]

    def _answer(self, statement: Statement, number: int) -> Placed | Refused:
        error = self._refuse(statement, len(self.turns))
        return Placed(100 + number, statement.digest, b"receipt") if error is None else Refused(error)


class FakeCheck:
    """Accepts every placement, or none."""

    def __init__(self, error: LedgerError | None = None) -> None:
        self._error = error

    def check(self, placed: Placed, envelope: Envelope) -> None:
        if self._error is not None:
            raise self._error


NETWORK = SmallNetwork()


def publish(
    path: Path, wishes: Sequence[Wish], fake: FakeBackend, manner: Manner | None = None, check: FakeCheck | None = None
) -> tuple[list[Published], int]:
    """Return what became of the wishes, and how often the copy was brought up to date."""

    async def work() -> tuple[list[Published], int]:
        refreshed = 0

        async def refresh() -> None:
            nonlocal refreshed
            refreshed += 1

        async def backend() -> FakeBackend:
            return fake

        store = await asyncio.to_thread(lambda: Store.open(path, writable=False))
        try:
            pen = Pen(Author(key("author"), key("admin")), NETWORK.id, TurnedClock())
            publisher = Publisher(backend, Reader(store), pen, check or FakeCheck())  # type: ignore[arg-type]  # what is used of a Backend
            return [result async for result in publisher.publish(wishes, manner or Manner(), refresh)], refreshed
        finally:
            await asyncio.to_thread(store.close)

    return asyncio.run(work())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    network = SmallNetwork()
    return small_log(tmp_path / "ledger.db", [network.put("one", n=1)], network=network).path


def wish(policy: str, **body: int | str) -> Wish:
    return Wish("put", "thing", policy, {"name": policy, **body})


def test_a_new_policy_follows_nothing(path: Path) -> None:
    fake = FakeBackend()
    ((result,), refreshed) = publish(path, [wish("new")], fake)
    assert (result.result, result.index, result.receipt, refreshed) == ("published", 100, b"receipt", 0)
    assert fake.turns[0][0].prev is None


def test_nobody_pays_for_what_is_void_already(path: Path) -> None:
    fake = FakeBackend(judges=False)
    wishes = [wish("one", n=2), wish("two"), Wish("put", "other", "one", {"name": "one"})]
    (results, refreshed) = publish(path, wishes, fake, Manner(expect=None, basis={}))
    assert [(one.result, one.index) for one in results] == [("refused", None), ("published", 100), ("refused", None)]
    assert [[one.id for one in turn] for turn in fake.turns] == [["two"]]
    assert refreshed == 0  # the publisher's own `refresh`, which this one lacks, would be asked
    assert isinstance(results[0].error, VersionMismatchError)


def test_what_stands_is_unchanged_once_the_copy_is_fresh(path: Path) -> None:
    fake = FakeBackend()
    ((result,), refreshed) = publish(path, [wish("one", n=1)], fake)
    assert (result.result, refreshed, fake.turns) == ("unchanged", 1, [])


def test_statements_on_one_id_follow_each_other(path: Path) -> None:
    fake = FakeBackend()
    publish(path, [wish("one", n=2), wish("one", n=3)], fake)
    first, second = fake.turns[0]
    assert second.prev == first.digest


def test_the_next_request_follows_what_was_sent_before_it(path: Path) -> None:
    fake = FakeBackend()
    results, _ = publish(path, [wish("new"), *(wish(f"n{number}") for number in range(999)), wish("new", n=2)], fake)
    assert len(results) == 1001
    assert [len(turn) for turn in fake.turns] == [1000, 1]
    assert fake.turns[1][0].prev == fake.turns[0][0].digest


def test_another_version_first_is_followed_three_times_at_most(path: Path) -> None:
    once = FakeBackend(lambda statement, turn: VersionMismatchError("late") if turn == 1 and statement.id == "one" else None)
    results, refreshed = publish(path, [wish("new"), wish("one", n=2)], once)
    assert ([result.result for result in results], refreshed) == (["published", "published"], 1)
    assert [[statement.id for statement in turn] for turn in once.turns] == [["new", "one"], ["one"]]
    always = FakeBackend(lambda _statement, _turn: VersionMismatchError("late"))
    ((result,), _) = publish(path, [wish("one", n=2)], always)
    assert (result.result, len(always.turns)) == ("refused", 3)


def test_a_certain_version_is_never_exchanged_for_another(path: Path) -> None:
    fake = FakeBackend(lambda _statement, _turn: VersionMismatchError("late"))
    ((result,), refreshed) = publish(path, [wish("one", n=1)], fake, Manner(expect="a" * 64))
    assert (result.result, refreshed, len(fake.turns)) == ("refused", 0, 1)
    assert fake.turns[0][0].prev == "a" * 64


def test_other_refusals_are_final(path: Path) -> None:
    fake = FakeBackend(lambda _statement, _turn: ConflictError("the name is taken"))
    ((result,), _) = publish(path, [wish("one", n=2)], fake)
    assert (result.result, type(result.error), len(fake.turns)) == ("refused", ConflictError, 1)


def test_without_proof_nothing_counts_as_published(path: Path) -> None:
    ((result,), _) = publish(path, [wish("new")], FakeBackend(), check=FakeCheck(ProofError("no proof")))
    assert (result.result, result.receipt, type(result.error)) == ("refused", None, ProofError)


def test_a_dry_run_judges_each_after_those_before_it(path: Path) -> None:
    fake = FakeBackend()
    schema = Wish("put", "schema", "schema.thing", {"kind": "thing", "unique": [["name"]], "refs": []})
    twin = Wish("put", "thing", "twin", {"name": "one"})
    results, _ = publish(path, [schema, twin, wish("one", n=1), wish("other")], fake, Manner(dry_run=True))
    assert [result.result for result in results] == ["checked", "refused", "unchanged", "checked"]
    assert isinstance(results[1].error, ConflictError)
    assert fake.turns == []


def test_only_what_is_there_is_patched_or_dropped() -> None:
    with pytest.raises(NotFoundError, match="no live policy x"):
        patched(None, "x", {})
    with pytest.raises(NotFoundError, match="no policy x"):
        dropped(None, "x")
