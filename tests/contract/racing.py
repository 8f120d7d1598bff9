"""Many publishers that race for one unique key, on every backend: exactly one wins, and everybody is told who.

`RaceContract` is inherited beside `BackendContract`. Where the ledger judges, the losers are refused with the winner's id; where a chain
orders by itself all are placed, and every replica voids the same ones.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed, Refused
from ledger.core.errors import ConflictError
from ledger.core.fold import Void, judge
from ledger.engine.store import Store
from tests.contract.suite import fold, placed

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction
    from tests.contract.suite import BackendFactory, Ledger

RACERS = 64
FEW, MANY, ON_A_CHAIN = 20, 1_000, 20


def racers(ledger: Ledger, number: int) -> list[Envelope]:
    """Return what each racer of a round signed: its own policy with the one name that all of them want."""
    network = ledger.network
    return [network.signed("put", "thing", f"r{number}-{one}", {"name": f"prize {number}", "racer": one}) for one in range(RACERS)]


async def race(ledger: Ledger, envelopes: list[Envelope]) -> list[Placed | Refused]:
    """Let all of them append at once, each by itself."""
    return [one for (one,) in await asyncio.gather(*(ledger.append(envelope) for envelope in envelopes))]


def winner_of(results: list[Placed | Refused], number: int) -> int:
    """Return which racer won; every other must have been told so."""
    (winner,) = [place for place, one in enumerate(results) if isinstance(one, Placed)]
    for one in results:
        if isinstance(one, Refused):
            assert isinstance(one.error, ConflictError)
            assert one.error.code == "conflict"
            assert one.error.context["other"] == f"r{number}-{winner}"
    return winner


def fold_in_sql(entries: list[bytes], path: Path) -> tuple[str, list[bool]]:
    """Do as `fold` does, in a replica's database: return the state root and the verdicts."""
    store, verdicts = Store.open(path, create=True), list[bool]()

    def work(transaction: Transaction) -> str:
        for entry in entries:
            index = transaction.size
            verdict = judge(transaction.view, entry, index)
            transaction.add(entry)
            verdicts.append(not isinstance(verdict, Void))
            if isinstance(verdict, Void):
                transaction.reject(index, verdict.code, verdict.reason)
            else:
                transaction.accept(index, verdict)
        return transaction.view.state_root()

    try:
        return store.write_now(work), verdicts
    finally:
        store.close()


class RaceContract:
    """Inherit it where `backend_factory` is given."""

    @pytest.mark.parametrize("rounds", [FEW, pytest.param(MANY, marks=pytest.mark.siege)])
    async def test_of_many_racers_for_one_unique_key_exactly_one_wins(
        self, backend_factory: BackendFactory, rounds: int, tmp_path: Path
    ) -> None:
        ledger = await backend_factory()
        schema: JSONObject = {"kind": "thing", "unique": [["name"]], "refs": []}
        placed(await ledger.append(ledger.network.signed("put", "schema", "schema.thing", schema, "root")))
        winners: set[str] = set()
        rounds = rounds if ledger.judges else min(rounds, ON_A_CHAIN)
        for number in range(rounds):
            results = await race(ledger, racers(ledger, number))
            if ledger.judges:
                winners.add(f"r{number}-{winner_of(results, number)}")
            else:
                placed(results)
                await ledger.settle()
        entries = await ledger.entries()
        state, verdicts = fold(entries)
        live = [record for record in state.of_kind("thing") if record.id.startswith("r")]
        assert sorted(str(record.content["name"]) for record in live) == sorted(f"prize {number}" for number in range(rounds))
        assert {record.id for record in live} == winners or not ledger.judges
        assert verdicts.count(False) == (0 if ledger.judges else rounds * (RACERS - 1))
        replica = tmp_path / "replica"
        await asyncio.to_thread(replica.mkdir)
        assert await asyncio.to_thread(fold_in_sql, entries, replica / "ledger.db") == (state.state_root(), verdicts)
