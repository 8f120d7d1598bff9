"""`python -m tests.bench`: one table, each figure a ratio to a baseline that was measured in the same run.

Everything is on loopback and in a temporary directory; `--folder` puts that on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.baselines import measure_signatures
from tests.bench.entries import measure_sizes
from tests.bench.etcd import find_etcd
from tests.bench.ethereum.__main__ import measure_ethereum
from tests.bench.figures import Figure, Report
from tests.bench.folding import measure_folding
from tests.bench.following import measure_bootstrap, measure_steps
from tests.bench.importing import measure_importing
from tests.bench.logs import cache_folder, forget
from tests.bench.network import make_network
from tests.bench.query.__main__ import measure_asking
from tests.bench.ruling import measure_ruling
from tests.bench.serving import measure_serving
from tests.bench.storing import measure_storing
from tests.bench.watching import measure_watching
from tests.support.chain_tools import missing_anvil

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many entries each case works on, how many a fresh node takes, at which sizes it takes steps, how many followers watch, how
    many lines are imported, how many policies queries are asked of."""

    fold: int
    load: int
    bootstrap: int
    steps: tuple[int, ...]
    followers: int
    lines: int
    queries: int


FULL = Amounts(fold=100_000, load=8_000, bootstrap=100_000, steps=(10_000, 1_000_000), followers=10_000, lines=20_000, queries=100_000)
QUICK = Amounts(fold=12_000, load=2_000, bootstrap=10_000, steps=(1_000, 10_000), followers=200, lines=2_000, queries=10_000)
CASES = ("computing", "rules", "disk", "publishing", "bootstrap", "steps", "watching", "importing", "queries", "ethereum")


@dataclass(frozen=True, slots=True)
class Bench:
    """The cases, each of which adds its figures to the report. Bare signatures come first: much is held against them."""

    report: Report
    amounts: Amounts
    folder: Path

    def measure(self, wanted: Sequence[str]) -> None:
        """Run the wanted cases in the order of `CASES`."""
        network = make_network()
        envelopes = list(network.envelopes(self.amounts.fold if {"computing", "disk"} & set(wanted) else self.amounts.load))
        entries = [envelope.entry for envelope in envelopes]
        if "computing" in wanted:
            measure_sizes(self.report, envelopes[:3_000])
        del envelopes
        measure_signatures(self.report, entries[: self.amounts.load])
        self.report.add(Figure("entries, each", sum(map(len, entries)) / len(entries), "B", remark=f"mean of {len(entries):,}"))
        log = [envelope.entry for envelope in network.genesis] + entries
        cases = self._cases(log)
        for name in CASES:
            if name in wanted:
                gc.collect()
                gc.freeze()  # what the cases before left behind is not looked through in this one
                cases[name]()

    def _cases(self, log: Sequence[bytes]) -> Mapping[str, Callable[[], None]]:
        report, amounts, folder = self.report, self.amounts, self.folder
        return {
            "computing": partial(measure_folding, report, log, folder),
            "rules": partial(measure_ruling, report, amounts.fold, folder),
            "disk": partial(measure_storing, report, log, folder),
            "publishing": partial(measure_serving, report, amounts.load, folder),
            "bootstrap": partial(measure_bootstrap, report, amounts.bootstrap, folder),
            "steps": partial(measure_steps, report, amounts.steps, folder),
            "watching": partial(measure_watching, report, amounts.followers, amounts.load // 4, folder),
            "importing": partial(measure_importing, report, amounts.lines, folder),
            "queries": partial(measure_asking, report, amounts.queries, folder),
            "ethereum": partial(measure_ethereum, report, folder),
        }


def note(text: str) -> None:
    """Tell people something that is no figure."""
    sys.stderr.write(f"{text}\n")


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="figures, each beside its baseline")
    parser.add_argument("--quick", action="store_true", help="few entries: tries the harness, not the product")
    parser.add_argument("--case", action="append", choices=CASES, help="only this case; may be given again")
    parser.add_argument("--folder", type=Path, help="where to put the files (default: the system's temporary directory)")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    parser.add_argument("--watching", type=int, metavar="N", help="only the case of N followers")
    parser.add_argument("--forget", action="store_true", help=f"delete the logs that are kept in {cache_folder()}, and end")
    chosen = parser.parse_args()
    if chosen.forget:
        forget()
        return
    amounts = QUICK if chosen.quick else FULL
    if chosen.watching is not None:
        amounts, chosen.case = replace(amounts, followers=chosen.watching), ["watching"]
    if find_etcd() is None:
        note("etcd is not here (Debian: etcd-server): no figures beside it")
    cases = [name for name in chosen.case or CASES if name != "ethereum" or missing_anvil() is None]
    if "ethereum" in (chosen.case or CASES) and "ethereum" not in cases:
        note(f"no figures of Ethereum: {missing_anvil()}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-", dir=chosen.folder) as folder:
        Bench(report, amounts, Path(folder)).measure(cases)
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
