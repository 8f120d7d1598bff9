"""What the product is held against: a bare commit, a bare read, a bare signature check."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING

import apsw
import nacl.bindings
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bench.figures import Figure, Report, rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COMMITS = 2_000
CHECKS = 4_000
GROUP = 32


def measure_sqlite(report: Report, entries: Sequence[bytes], folder: Path) -> None:
    """Commit entry-sized rows with `synchronous=FULL`, one and 32 a transaction, then read and parse rows by number."""
    database = apsw.Connection(str(folder / "baseline.db"))
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
    numbers = iter(range(10**9))

    def commit(count: int, group: int) -> int:
        for start in range(0, count, group):
            with database:
                rows = [(next(numbers), entries[place % len(entries)]) for place in range(start, start + group)]
                database.executemany("INSERT INTO entry VALUES (?, ?)", rows)
        return count

    def read() -> int:
        for number in random.Random(1).sample(range(COMMITS), COMMITS):
            for (raw,) in database.execute("SELECT bytes FROM entry WHERE number = ?", (number,)):
                json.loads(raw)
        return COMMITS

    report.add(Figure("commit, bare", rate(lambda: commit(COMMITS, 1)), "/s", remark="apsw, WAL, FULL, one row a commit"))
    grouped = rate(lambda: commit(COMMITS * 8, GROUP))
    report.add(Figure("commit, bare, by 32", grouped, "/s", "commit, bare", remark="32 rows a commit"))
    report.add(Figure("read, bare", rate(read), "/s", remark="apsw by rowid, parsed with json"))
    database.close()


def measure_signatures(report: Report, entries: Sequence[bytes]) -> None:
    """Check signatures over entry-sized messages, with both libraries, one after the other."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bench").digest())
    public, raw = key.public_key(), key.public_key().public_bytes_raw()
    signed = [(key.sign(entry), entry) for entry in (entries[place % len(entries)] for place in range(CHECKS))]
    joined = [signature + message for signature, message in signed]

    def with_cryptography() -> int:
        for signature, message in signed:
            public.verify(signature, message)
        return CHECKS

    def with_nacl() -> int:
        for one in joined:
            nacl.bindings.crypto_sign_open(one, raw)
        return CHECKS

    report.add(Figure("verify, bare", rate(with_nacl), "/s", remark="Ed25519, PyNaCl, one thread"))
    report.add(Figure("verify, cryptography", rate(with_cryptography), "/s", "verify, bare", remark="Ed25519, OpenSSL, one thread"))
