"""`python -m tests.bench.ethereum`: gas an entry, and the rates of writing and reading, on an anvil of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from blockchain_adapters.ethereum.artifact import load_artifact
from tests.bench.ethereum.gas import measure_gas
from tests.bench.ethereum.reading import measure_reading
from tests.bench.ethereum.writing import measure_computing, measure_rate
from tests.bench.figures import Report
from tests.support.anvil import running_anvil


def measure_ethereum(report: Report, folder: Path) -> None:
    """Add all figures."""
    asyncio.run(_measure(report, folder))


async def _measure(report: Report, folder: Path) -> None:
    artifact = load_artifact()
    async with running_anvil() as chain:
        measure_computing(report, chain, artifact)
        await measure_gas(report, chain, artifact)
        await measure_rate(report, chain, artifact, folder)
        await measure_reading(report, chain, folder)


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ethereum", description="figures of ledgers on Ethereum")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    chosen = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-") as folder:
        measure_ethereum(report, Path(folder))
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
