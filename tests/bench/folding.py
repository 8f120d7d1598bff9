"""How fast a log is judged, and what its state weighs: the reference view, in memory."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.core.envelope import parse_envelope
from ledger.core.fold import Void, judge
from ledger.core.keys import PublicKey, verify_signature
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.state import DictState
from ledger.core.tiles import frame, unframe
from tests.bench.figures import Figure, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def accept(_key: PublicKey, _signature: bytes, _message: bytes) -> bool:
    """Take any signature: for readers that verified them before, and to see what the rest costs."""
    return True


def resident() -> int:
    """Return the bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def fold(entries: Sequence[bytes], check: Callable[[PublicKey, bytes, bytes], bool] = verify_signature) -> DictState:
    """Return the state of a log in which every entry is in force; LedgerError for a void one."""
    state = DictState()
    for index, entry in enumerate(entries):
        verdict = judge(state, entry, index, check=check)
        if isinstance(verdict, Void):
            raise verdict.error()
        state.apply(verdict)
    return state


def measure_folding(report: Report, entries: Sequence[bytes], folder: Path) -> None:
    """Add the rates of parsing, hashing and folding a log, of its state root, and the memory of its state."""
    count = len(entries)

    def timed(name: str, work: Callable[[], object], remark: str) -> None:
        begin = time.process_time()
        work()
        report.add(Figure(name, count / (time.process_time() - begin), "/s", "verify, bare", remark))

    timed("parse entries", lambda: [parse_envelope(entry).statement for entry in entries], "envelope and statement, checked canonical")
    timed("hash entries", lambda: Frontier().append_many(leaf_hashes(entries)), "RFC 6962, every node")
    timed("fold, signatures known", lambda: fold(entries, accept), "dict view")
    states: list[DictState] = []
    timed("fold", lambda: states.append(fold(entries)), f"dict view, {count:,} entries")
    timed("state root", states[0].state_root, f"made on demand over {count:,} entries")
    whole, state = _weigh(entries, folder)
    report.add(Figure("state in memory, each", state / count, "B", "entries, each", f"RSS of the process: {whole >> 20} MiB"))


def _weigh(entries: Sequence[bytes], folder: Path) -> tuple[int, int]:
    """Return RSS, and by how much folding made it grow, of a process of its own that folds `entries`."""
    log = folder / "weighed"
    log.write_bytes(frame(entries))
    done = subprocess.run([sys.executable, "-m", "tests.bench.folding", str(log)], capture_output=True, text=True, timeout=300, check=True)
    whole, state = map(int, done.stdout.split())
    return whole, state


def main() -> None:
    """Fold the framed entries of a file, and print RSS and its growth."""
    entries = unframe(Path(sys.argv[1]).read_bytes(), most=10**9)
    before = resident()
    state = fold(entries, accept)
    gc.collect()
    print(resident(), resident() - before)
    del state


if __name__ == "__main__":
    main()
