"""A master with thousands of followers over TLS: how long a publish takes to the last of them, and what they cost."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.bench.figures import Bound, Figure, Report
from tests.bench.loading import WARMUP, Target, write_entries
from tests.bench.serving import Served, log_size
from tests.support.go_tools import WATCH, built
from tests.support.live import found_network, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALONE = 11  # publishes one at a time
PAUSE_SECONDS = 1.0  # between them
SETTLE_SECONDS = 2.0
CONNECTIONS = 32
END_SECONDS = 30


class Watchers:
    """The program that holds the followers, told what to do line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, command: str) -> dict[str, float]:
        """Give one command and return its answer. RuntimeError when the program ended instead."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the program was started without pipes")
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the watching program ended at {command!r}")
        found: dict[str, float] = json.loads(answer)
        return found


@contextmanager
def watching(target: Target, entries: Path) -> Iterator[Watchers]:
    """Run the program that follows `target`, which has `entries` to publish, until the block ends."""
    arguments = (f"-url={target.url}", f"-ca={target.ca_file}", f"-token-file={target.token_file}", f"-entries={entries}")
    process = subprocess.Popen([str(built(WATCH)), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Watchers(process)
        process.communicate(timeout=END_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def measure_watching(report: Report, followers: int, load: int, folder: Path) -> None:
    """Add what `followers` followers wait and cost; `load` entries are published at once with them and without."""
    with live(found_network(folder / "watched"), folder / "watching") as network:
        served = Served(network, folder / "watching", load)
        loads = [write_entries(folder / f"load-{number}", served.fresh(load + WARMUP)) for number in range(3)]
        single = write_entries(folder / "single", served.fresh(ALONE))
        before = served.target.load(loads[0], CONNECTIONS)
        time.sleep(SETTLE_SECONDS)
        weight = served.target.resident()
        with watching(served.target, single) as watchers:
            opened = watchers.tell(f"open {followers}")
            time.sleep(SETTLE_SECONDS)
            grown = (served.target.resident() - weight) / followers / 1024
            remark = f"{followers:,} opened in {opened['seconds']:.0f} s"
            report.add(Figure("follower, memory of the master", grown, "KiB", remark=remark, bound=Bound(most=45, of_value=True)))
            _measure_alone(report, watchers)
            burdened = served.target.load(loads[1], CONNECTIONS)
            behind = watchers.tell(f"wait {log_size(network)}")["ms"]
            stood = int(watchers.tell("count")["open"])
        if stood != followers:
            raise RuntimeError(f"{stood} of {followers} followers stand")
        time.sleep(SETTLE_SECONDS)
        after = served.target.load(loads[2], CONNECTIONS)
    alone = statistics.mean(one["count"] / one["seconds"] for one in (before, after))
    rate = burdened["count"] / burdened["seconds"]
    report.add(Figure("publish, no followers", alone, "/s", remark=f"{CONNECTIONS} connections; before and after the followers"))
    report.add(Figure("publish, with followers", rate, "/s", "publish, no followers", f"p99 {burdened['p99_ms']:.0f} ms", Bound(least=0.7)))
    report.add(Figure("followers, then all at the head", behind, "ms", remark=f"after {load:,} publishes"))


def _measure_alone(report: Report, watchers: Watchers) -> None:
    """Publish one at a time, and see when half of the followers and the last of them have it."""
    rounds = []
    for _ in range(ALONE):
        rounds.append(watchers.tell("publish"))
        time.sleep(PAUSE_SECONDS)
    answered, half, last = (statistics.median(one[key] for one in rounds) for key in ("answered_ms", "half_ms", "last_ms"))
    worst = max(one["last_ms"] for one in rounds)
    remark = f"answered after {answered:.0f} ms, half of them after {half:.0f} ms; the slowest of {ALONE}: {worst:.0f} ms"
    report.add(Figure("publish to the last follower", last, "ms", remark=remark, bound=Bound(most=300, of_value=True)))
