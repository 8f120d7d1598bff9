"""What it costs to keep a log and its versions on disk: the engine's store, without a network and without signing."""

from __future__ import annotations

import random
import time
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.fold import Void, judge
from ledger.engine.store import Store
from tests.bench.baselines import BareTable
from tests.bench.figures import Figure, Report, cpu_rate, rates
from tests.bench.folding import accept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ledger.engine.transaction import Transaction

ROUNDS = 5
SINGLES = 200  # of each round
GROUPS = 800
GROUP = 32
BATCH = 1_000
READS = 2_000
CUT = 30


def append(store: Store, entries: Sequence[bytes], batch: int) -> int:
    """Judge and commit entries, `batch` a transaction, and return how many; LedgerError for a void one. Signatures are taken as known."""
    for start in range(0, len(entries), batch):
        part = entries[start : start + batch]

        def work(transaction: Transaction, part: Sequence[bytes] = part) -> None:
            for entry in part:
                envelope = parse_envelope(entry)
                index = transaction.add(entry, envelope.statement.digest)
                verdict = judge(transaction.view, envelope, index, check=accept)
                if isinstance(verdict, Void):
                    raise verdict.error()
                transaction.accept(index, verdict)

        store.write_now(work)
    return len(entries)


def measure_storing(report: Report, entries: Sequence[bytes], folder: Path) -> None:
    """Add the rates of commits of 1, 32 and 1,000 entries, of reads, a roll-back and a state root, and the size on disk."""
    home = folder / "home"
    home.mkdir()
    count = len(entries)
    with closing(Store.open(home / "ledger.db", create=True)) as store, closing(BareTable(folder / "bare.db", entries)) as bare:
        _measure_commits(report, entries, store, bare)
        _measure_reads(report, entries, store, bare)
    size = sum(path.stat().st_size for path in home.iterdir())
    report.add(Figure("on disk, each", size / count, "B", "entries, each", "database with versions and look-ups"))


def _measure_commits(report: Report, entries: Sequence[bytes], store: Store, bare: BareTable) -> None:
    """Append all entries, in commits of three sizes, beside bare commits of these sizes."""
    rest = len(entries) // ROUNDS - SINGLES - GROUPS
    for count, group in ((SINGLES, 1), (GROUPS, GROUP), (rest, BATCH)):
        used = count * ROUNDS
        parts = iter([entries[start : start + count] for start in range(0, used, count)])
        entries = entries[used:]
        works = {"bare": partial(bare.commit, count, group), "store": partial(_append_next, store, parts, group)}
        found = rates(works, rounds=ROUNDS)
        report.add(Figure(f"bare, {group:,} a commit", found["bare"], "/s", remark="apsw, WAL, FULL: rows of these sizes"))
        report.add(
            Figure(f"store, {group:,} a commit", found["store"], "/s", f"bare, {group:,} a commit", "judged, with tree and versions")
        )
    append(store, entries, BATCH)


def _append_next(store: Store, parts: Iterator[Sequence[bytes]], batch: int) -> int:
    return append(store, next(parts), batch)


def _measure_reads(report: Report, entries: Sequence[bytes], store: Store, bare: BareTable) -> None:
    count = len(entries)
    names = [parse_envelope(entry).statement.id for entry in random.Random(1).choices(entries, k=READS)]
    found = rates({"bare": lambda: bare.read(READS), "store": lambda: len([read(store, name) for name in names])})
    report.add(Figure("bare, read", found["bare"], "/s", remark="apsw by rowid, parsed with json"))
    report.add(Figure("read a policy", found["store"], "/s", "bare, read", "record by id, at the head"))
    before = state_root(store)
    roots = cpu_rate(lambda: len([state_root(store)]))
    report.add(Figure("state root, on disk", roots * count, "/s", "verify, bare", f"made on demand over {count:,} entries"))
    begin = time.perf_counter()
    store.write_now(lambda transaction: transaction.roll_back(count - CUT))
    report.add(Figure("roll back", CUT / (time.perf_counter() - begin), "/s", "bare, 1 a commit", f"{CUT} entries"))
    append(store, entries[-CUT:], CUT)
    if state_root(store) != before:
        raise RuntimeError("a roll-back did not give the state before")


def read(store: Store, policy: str) -> object:
    """Return the record of a policy at the head."""
    return store.read_now(lambda snapshot: snapshot.state().record(policy))


def state_root(store: Store) -> str:
    """Return the state root at the head."""
    return store.read_now(lambda snapshot: snapshot.state().state_root())
