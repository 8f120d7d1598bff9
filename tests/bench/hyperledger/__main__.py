"""`python -m tests.bench.hyperledger`: what the bridge costs, and the rates of writing and reading, on a network of its own.

It is a real one when FABRIC_BIN names Fabric's programs; else the stand-in peer, whose figures say nothing of Fabric. `--settings` adds
the table of channel settings (real networks only, a few minutes).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.figures import Report
from tests.bench.hyperledger.bridging import measure_bridge
from tests.bench.hyperledger.reading import measure_reading
from tests.bench.hyperledger.settings import measure_settings
from tests.bench.hyperledger.writing import measure_writing
from tests.support.channel import Bench
from tests.support.fabric.real import missing_fabric, running_real_network
from tests.support.fabric.standin import running_standin
from tests.support.java_bridge import bridge_jar, java

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = ("bridge", "writing", "reading")


async def measure(report: Report, folder: Path, cases: Sequence[str]) -> None:
    """Add the figures of the cases."""
    parts = java(), bridge_jar()
    if "bridge" in cases:
        await measure_bridge(report, parts)
    if "settings" in cases:
        await measure_settings(report, parts, folder / "settings")
    running = running_standin if missing_fabric() else running_real_network
    for name, add in (("writing", measure_writing), ("reading", measure_reading)):
        if name in cases:
            place = folder / name
            async with running(place / "network") as network, AsyncExitStack() as stack:
                await add(report, Bench(network, parts, place, stack))


def main() -> None:
    """Measure, and print the table or, with `-o json`, the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hyperledger", description="figures of ledgers on Hyperledger Fabric")
    parser.add_argument("-o", dest="form", choices=("table", "json"), default="table")
    parser.add_argument("--case", action="append", choices=CASES, help="only this; may be repeated")
    parser.add_argument("--settings", action="store_true", help="the table of channel settings, too")
    chosen = parser.parse_args()
    missing = missing_fabric()
    sys.stderr.write(f"on the stand-in peer, which is not Hyperledger Fabric: {missing}\n" if missing else "on a real Fabric network\n")
    if chosen.settings and missing:
        parser.error(f"--settings needs a real network: {missing}")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="metaledger-bench-") as folder:
        asyncio.run(measure(report, Path(folder), [*(chosen.case or CASES), *(["settings"] if chosen.settings else [])]))
    print(report.table() if chosen.form == "table" else json.dumps(report.document(), indent=1))


if __name__ == "__main__":
    main()
