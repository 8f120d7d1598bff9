"""What the product is held against: a bare commit, a bare read, a bare signature check."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import apsw
import nacl.bindings
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.bench.figures import Figure, Report, cpu_rate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHECKS = 4_000
BARE_MEMORY = "memory, bare"
LIBRARIES = "aiohttp.web, apsw, cryptography.x509, nacl.bindings, orjson, prometheus_client, uvloop"


class BareTable:
    """A table of entry-sized rows with WAL and `synchronous=FULL`, and nothing else: what a disk and SQLite can do."""

    def __init__(self, path: Path, entries: Sequence[bytes]) -> None:
        self._database = apsw.Connection(str(path))
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")
        self._entries = entries
        self._size = 0

    def commit(self, count: int, group: int) -> int:
        """Insert `count` rows, `group` a transaction."""
        end = self._size + count
        while self._size < end:
            following = min(end, self._size + group)
            rows = [(number, self._entries[number % len(self._entries)]) for number in range(self._size, following)]
            with self._database:
                self._database.executemany("INSERT INTO entry VALUES (?, ?)", rows)
            self._size = following
        return count

    def read(self, count: int) -> int:
        """Read and parse `count` rows here and there."""
        for number in random.Random(1).choices(range(self._size), k=count):
            for (raw,) in self._database.execute("SELECT bytes FROM entry WHERE number = ?", (number,)):
                json.loads(raw)
        return count

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def measure_bare_memory(report: Report) -> None:
    """Add what a process weighs that has loaded the libraries of a server and does nothing."""
    program = f"import os, {LIBRARIES}; print(open('/proc/self/statm').read().split()[1])"
    pages = int(subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=True).stdout)
    report.add(Figure(BARE_MEMORY, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, "MiB", remark="a process with the same libraries, idle"))


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

    report.add(Figure("verify, bare", cpu_rate(with_nacl), "/s", remark="Ed25519, PyNaCl, a second of CPU"))
    report.add(
        Figure("verify, cryptography", cpu_rate(with_cryptography), "/s", "verify, bare", remark="Ed25519, OpenSSL, a second of CPU")
    )
