"""Importing a file of EdgeLake of which one line in a hundred is faulty, beside publishing its good policies and nothing else."""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING

from ledger.client.client import LedgerClient
from ledger.edgelake import in_order, read_ledger_file
from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network
from tests.bench.figures import Bound, Figure, Report
from tests.support.edgelake import FaultyFile, faulty_file
from tests.support.live import found_network, live

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.importing import Imported
    from ledger.core.canonical import JSON

BOUND_SECONDS = 20
BOUND_POLICIES = 20_000


def measure_importing(report: Report, lines: int, folder: Path) -> None:
    """Add what an import of so many lines takes into an embedded ledger and over TLS, the first time and again."""
    file = faulty_file(lines)
    folder = folder / "importing"
    folder.mkdir()
    asyncio.run(create_network(folder / "embedded", NewNetwork("bench", f"sqlite://{folder}/embedded/ledger.db"), SystemClock()))
    plain = folder / "plain"
    asyncio.run(create_network(plain, NewNetwork("bench", f"sqlite://{plain}/ledger.db"), SystemClock()))
    _measure(report, file, "embedded", (plain, folder / "embedded"))
    shutil.rmtree(plain)
    template = found_network(folder / "founded")
    for name in ("one", "two"):
        (folder / name).mkdir()
    with live(template, folder / "one") as one, live(template, folder / "two") as two:
        _measure(report, file, "over TLS", (one.home, two.home))


def _measure(report: Report, file: FaultyFile, where: str, homes: tuple[Path, Path]) -> None:
    """Publish into the first home, import into the second, twice."""
    policies: list[JSON] = [
        {policy.kind: {**policy.body, "id": policy.id}}
        for policy in in_order(list(read_ledger_file(file.content).policies.values()))
        if policy.line not in file.faults
    ]
    publishing = f"publish {len(policies):,} good policies, {where}"
    started = time.perf_counter(), time.process_time()
    asyncio.run(_publish(homes[0], policies))
    report.add(Figure(publishing, time.perf_counter() - started[0], "s", remark=_spent(started[1])))
    bound = Bound(most=BOUND_SECONDS, of_value=True) if len(file.lines) == BOUND_POLICIES else None
    for which in ("import", "import again"):
        started = time.perf_counter(), time.process_time()
        imported = asyncio.run(_import(homes[1], file.content))
        value, spent = time.perf_counter() - started[0], _spent(started[1])
        if {one.line for one in imported.left} != file.faults.keys() or imported.published not in (0, len(policies)):
            raise RuntimeError(f"{which}, {where}: {imported.facts()}")
        remark = f"{imported.published:,} published, {len(imported.left)} faults named; {spent}"
        report.add(Figure(f"{which} {len(file.lines):,} lines, {where}", value, "s", publishing, remark, bound))


def _spent(before: float) -> str:
    return f"{time.process_time() - before:.1f} s of CPU here"


async def _publish(home: Path, policies: list[JSON]) -> None:
    async with LedgerClient.open(home=home) as client:
        results = [result async for result in client.publish(policies)]
    if any(result.error is not None for result in results):
        raise RuntimeError("a good policy was refused")


async def _import(home: Path, content: bytes) -> Imported:
    async with LedgerClient.open(home=home) as client:
        return await client.import_edgelake(content)
