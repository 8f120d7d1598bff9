"""`python -m tests.bench.query`: what queries take on 100,000 policies, beside the plain scan of them."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.figures import Report
from tests.bench.query.asking import measure_queries
from tests.bench.query.policies import make_store
from tests.bench.query.serving import measure_https


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.query", description="figures of queries")
    parser.add_argument("--policies", type=int, default=100_000, metavar="N", help="how many, from 10,000 on")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    chosen = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-") as folder:
        store = make_store(Path(folder), chosen.policies)
        measure_queries(report, store, chosen.policies)
        measure_https(report, store, chosen.policies)
        store.close()
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
