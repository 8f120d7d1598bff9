"""`python -m tests.bench`: one table, each figure a ratio to a baseline that was measured in the same run.

Everything is on loopback and in a temporary directory; `--folder` puts that on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.bench.baselines import measure_signatures
from tests.bench.entries import measure_sizes
from tests.bench.etcd import find_etcd
from tests.bench.figures import Report
from tests.bench.folding import measure_folding
from tests.bench.network import make_network
from tests.bench.serving import measure_serving
from tests.bench.storing import measure_storing
from tests.bench.watching import measure_watching


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many entries each case works on, and how many followers watch."""

    fold: int
    load: int
    followers: int


FULL = Amounts(fold=100_000, load=8_000, followers=10_000)
QUICK = Amounts(fold=12_000, load=2_000, followers=200)


def measure(report: Report, amounts: Amounts, folder: Path) -> None:
    """Run every case, baselines first."""
    network = make_network()
    envelopes = list(network.envelopes(amounts.fold))
    entries = [envelope.entry for envelope in envelopes]
    measure_sizes(report, envelopes[:3_000])
    del envelopes
    measure_signatures(report, entries[: amounts.load])
    if find_etcd() is None:
        note("etcd is not here (Debian: etcd-server): no figures beside it")
    log = [envelope.entry for envelope in network.genesis] + entries
    measure_folding(report, log, folder)
    measure_storing(report, log, folder)
    measure_serving(report, amounts.load, folder)
    measure_watching(report, amounts.followers, amounts.load // 4, folder)


def note(text: str) -> None:
    """Tell people something that is no figure."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="figures, each beside its baseline")
    parser.add_argument("--quick", action="store_true", help="few entries: tries the harness, not the product")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: the system's temporary directory)")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    parser.add_argument("--watching", type=int, metavar="N", help="only the case of N followers")
    chosen = parser.parse_args()
    report, amounts = Report(), QUICK if chosen.quick else FULL
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-", dir=chosen.folder) as folder:
        if chosen.watching is None:
            measure(report, amounts, Path(folder))
        else:
            measure_watching(report, chosen.watching, amounts.load // 4, Path(folder))
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
