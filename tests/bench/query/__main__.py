"""`python -m tests.bench.query`: what queries take on 100,000 policies, beside the plain scan of them."""

from __future__ import annotations

import argparse
import json
import tempfile
from contextlib import closing
from pathlib import Path

from tests.bench.figures import Report
from tests.bench.query.asking import measure_queries
from tests.bench.query.policies import make_store
from tests.bench.query.serving import measure_https


def measure_asking(report: Report, count: int, folder: Path) -> None:
    """Add what queries take on so many policies, in process and over HTTPS."""
    with closing(make_store(folder, count)) as store:
        measure_queries(report, store, count)
        measure_https(report, store, count)


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.query", description="figures of queries")
    parser.add_argument("--policies", type=int, default=100_000, metavar="N", help="how many, from 10,000 on")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    chosen = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-") as folder:
        measure_asking(report, chosen.policies, Path(folder))
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
