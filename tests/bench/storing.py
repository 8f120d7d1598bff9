"""What it costs to keep a log and its versions on disk: the engine's store, without a network and without signing."""

from __future__ import annotations

import random
import time
from contextlib import closing
from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.fold import Void, judge
from ledger.engine.store import Store
from tests.bench.figures import Figure, Report
from tests.bench.folding import accept

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger.engine.transaction import Transaction

SINGLES = 1_000
GROUP = 32
BATCH = 1_000
READS = 5_000
CUT = 30


def append(store: Store, entries: Sequence[bytes], batch: int) -> None:
    """Judge and commit entries, `batch` a transaction; LedgerError for a void one. Signatures are taken as known."""
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


def measure_storing(report: Report, entries: Sequence[bytes], folder: Path) -> None:
    """Add the rates of commits of 1, 32 and 1,000 entries, of reads, a roll-back and a state root, and the size on disk."""
    home = folder / "home"
    home.mkdir()
    count = len(entries)

    def add(name: str, done: int, work: Callable[[], object], baseline: str, remark: str) -> None:
        begin = time.perf_counter()
        work()
        report.add(Figure(name, done / (time.perf_counter() - begin), "/s", baseline, remark))

    singles, groups = entries[:SINGLES], entries[SINGLES : 5 * SINGLES]
    rest = entries[len(singles) + len(groups) :]
    with closing(Store.open(home / "ledger.db", create=True)) as store:
        add("store, 1 a commit", len(singles), lambda: append(store, singles, 1), "commit, bare", "judged, with tree and versions")
        add("store, 32 a commit", len(groups), lambda: append(store, groups, GROUP), "commit, bare, by 32", "the same")
        if rest:
            add("store, 1,000 a commit", len(rest), lambda: append(store, rest, BATCH), "verify, bare", "the same, signatures known")
        names = [parse_envelope(entry).statement.id for entry in random.Random(1).choices(entries, k=READS)]
        add("read a policy", READS, lambda: [read(store, name) for name in names], "read, bare", "record by id, at the head")
        add("state root, on disk", count, lambda: state_root(store), "verify, bare", f"made on demand over {count:,} entries")
        before = state_root(store)
        add(
            "roll back",
            CUT,
            lambda: store.write_now(lambda transaction: transaction.roll_back(count - CUT)),
            "commit, bare",
            f"{CUT} entries",
        )
        append(store, entries[-CUT:], CUT)
        if state_root(store) != before:
            raise RuntimeError("a roll-back did not give the state before")
    size = sum(path.stat().st_size for path in home.iterdir())
    report.add(Figure("on disk, each", size / count, "B", "entries, each", "database with versions and look-ups"))


def read(store: Store, policy: str) -> object:
    """Return the record of a policy at the head."""
    return store.read_now(lambda snapshot: snapshot.state().record(policy))


def state_root(store: Store) -> str:
    """Return the state root at the head."""
    return store.read_now(lambda snapshot: snapshot.state().state_root())
