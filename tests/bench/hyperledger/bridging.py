"""What the bridge's process costs: until it is ready, a call, and memory over very many calls."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # it has no types

from blockchain_adapters.hyperledger.bridge import Bridge
from tests.bench.figures import Bound, Figure

if TYPE_CHECKING:
    from pathlib import Path

    from blockchain_adapters.hyperledger.link import Link
    from tests.bench.figures import Report

MOST_READY = 1.0  # seconds
MOST_MEMORY = 200  # MB
MOST_CALL = 0.2  # ms
MOST_GROWTH = 1.1
STARTS = 5
SIZES = (500, 5_000, 50_000, 500_000)
CALLS = 2_000
MANY = 100_000
WARM = 20_000
MB = 1 << 20


async def measure_bridge(report: Report, parts: tuple[Path, Path]) -> None:
    """Add the figures of a bridge that no network is behind."""
    taken = [await _start(parts) for _ in range(STARTS)]
    bound = Bound(most=MOST_READY, of_value=True)
    report.add(Figure("bridge, until it is ready", statistics.median(taken), "s", remark="Java starts and listens", bound=bound))
    bridge = Bridge(*parts)
    await bridge.ask("ping", {})
    running = bridge._running
    assert running is not None
    process = psutil.Process(running.process.pid)
    await asyncio.to_thread(_calls, running.link, _text(500), CALLS)
    for size in SIZES:
        least = min([await asyncio.to_thread(_calls, running.link, _text(size), CALLS // 4) for _ in range(4)])
        held = Bound(most=MOST_CALL, of_value=True) if size == SIZES[1] else None
        report.add(Figure(f"a call with {size:,} B", least * 1e3, "ms", remark="p50 on a thread, the best of four rounds", bound=held))
    report.add(Figure("a call with 5,000 B from the event loop", await _asked(bridge) * 1e3, "ms", remark="p50, over a thread of the pool"))
    await asyncio.to_thread(_calls, running.link, _text(SIZES[1]), WARM)
    before = process.memory_info().rss / MB
    await asyncio.to_thread(_calls, running.link, _text(SIZES[1]), MANY)
    name = f"bridge, memory after {WARM:,} calls"
    report.add(Figure(name, before, "MB", remark="resident, 5 KB each"))
    after = process.memory_info().rss / MB
    report.add(Figure(f"bridge, memory after {MANY:,} more", after, "MB", name, bound=Bound(most=MOST_GROWTH)))
    await bridge.close()


def memory(bridge: Bridge) -> float:
    """Return the resident memory of a bridge in MB."""
    return float(psutil.Process(bridge.pid).memory_info().rss / MB)


async def _start(parts: tuple[Path, Path]) -> float:
    bridge = Bridge(*parts)
    began = time.perf_counter()
    await bridge.start()
    spent = time.perf_counter() - began
    await bridge.close()
    return spent


def _text(size: int) -> str:
    return json.dumps({"pad": "x" * (size - 10)})


def _calls(link: Link, text: str, count: int) -> float:
    """Return the median seconds of a call."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        link.call("ping", text, 10.0)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


async def _asked(bridge: Bridge) -> float:
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await bridge.ask("ping", {"pad": "x" * (SIZES[1] - 10)})
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
