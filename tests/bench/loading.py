"""One load program on two servers, in turns: etcd and a master, each a process of its own behind TLS on loopback."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ledger.core.tiles import frame
from tests.bench.figures import Bound, Figure, Report
from tests.support.go_tools import LOAD, built

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LOAD_SECONDS = 320
WARMUP = 100
# By connections: the bare commits that compare, what the ratio to etcd is to be, and p99 over p50.
COMMITS: Mapping[int, tuple[str, ...]] = {1: ("bare, 1 a commit",), 32: ("bare, 32 a commit",), 256: ("bare, 1,000 a commit",)}
BOUNDS: Mapping[int, Bound] = {32: Bound(least=0.7)}
TAILS: Mapping[int, float] = {32: 4.0}


class Outcome(TypedDict):
    """What the load program prints."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load: what the program calls it, where it is, what it asks for, and its process, which may have others."""

    name: str
    url: str
    ca_file: Path
    token_file: Path
    pid: int

    def load(self, entries: Path, connections: int) -> Outcome:
        """Send the entries, one at a time on each connection. RuntimeError if anything was not acknowledged."""
        arguments = (f"-target={self.name}", f"-url={self.url}", f"-ca={self.ca_file}", f"-token-file={self.token_file}")
        amounts = (f"-entries={entries}", f"-connections={connections}", f"-warmup={WARMUP}")
        done = subprocess.run([str(built(LOAD)), *arguments, *amounts], capture_output=True, text=True, timeout=LOAD_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr.strip()}")
        outcome: Outcome = json.loads(done.stdout)
        return outcome

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has taken so far, all threads of its process and of those below it together."""
        return sum(map(cpu_seconds, family(self.pid)))

    def resident(self) -> int:
        """Return the bytes in memory now, of its process and of those below it."""
        return sum(map(resident, family(self.pid)))


def family(process: int) -> list[int]:
    """Return a process and its children."""
    return [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]


def cpu_seconds(process: int) -> float:
    """Return the CPU time that one process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def resident(process: int) -> int:
    """Return the bytes of one process that are in memory now."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {process} is gone")


@dataclass(slots=True)
class Loaded:
    """What the rounds at one number of connections gave."""

    outcomes: list[Outcome]
    cpu: float = 0.0

    def figure(self, name: str) -> Figure:
        """Return the median rate, with the median latencies and the CPU that each entry took."""
        p50, p99 = (statistics.median(one[key] for one in self.outcomes) for key in ("p50_ms", "p99_ms"))
        each = self.cpu / sum(one["count"] + WARMUP for one in self.outcomes) * 1e6
        remark = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms, {each:.0f} µs CPU"
        rate = statistics.median(one["count"] / one["seconds"] for one in self.outcomes)
        return Figure(name, rate, "/s", remark=remark, tail=p99 / p50)


def take_turns(report: Report, targets: Sequence[Target], rounds: Sequence[Path], connections: int) -> None:
    """Load each target with the entries of each round, one target after the other, and report each beside the first."""
    loaded = {target.name: Loaded([]) for target in targets}
    for entries in rounds:
        for target in targets:
            before = target.cpu_seconds()
            loaded[target.name].outcomes.append(target.load(entries, connections))
            loaded[target.name].cpu += target.cpu_seconds() - before
    first = f"{targets[0].name}, {connections}"
    also = report.known("verify, bare", *COMMITS.get(connections, ()))
    for place, (name, one) in enumerate(loaded.items()):
        figure = one.figure(f"{name}, {connections}")
        if place:
            figure = replace(figure, baseline=first, bound=BOUNDS.get(connections), most_tail=TAILS.get(connections), also=also)
        elif len(targets) == 1:
            figure = replace(figure, also=also)
        report.add(figure)


def write_entries(place: Path, entries: Sequence[bytes]) -> Path:
    """Write entries for the load program."""
    place.write_bytes(frame(entries))
    return place
