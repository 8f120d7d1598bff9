"""Test tiers: a folder of `tests` each (the innermost counts), and marks for what some tests of a folder need besides.

A tier that cannot run here is deselected, never skipped: the closing summary names it and says why.
Where CI is set and the whole suite was asked for, a tier that CI requires and that did not run fails
the run. The hooks below are imported by `tests/conftest.py`; they work alike with and without xdist,
whose workers collect and whose controller reports.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.docker.engine import missing as missing_docker
from tests.support.chain_tools import missing_anvil, missing_geth
from tests.support.fabric.real import missing_fabric
from tests.support.fabric.standin import missing_standin
from tests.support.java_bridge import missing_bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).resolve().parents[2]


def _here() -> str | None:
    return None


def _needs_command(command: str, source: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        return None if shutil.which(command) else f"no command {command} ({source})"

    return probe


def _needs_package(name: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        return None if find_spec(name) is not None else f"no package {name} for this platform"

    return probe


def _needs_go() -> str | None:
    return None if shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin") else "no command go (the Go distribution)"


def _needs_loop_device() -> str | None:
    if os.geteuid() != 0:
        return "not root, so no file system can be mounted"
    if not Path("/dev/loop-control").exists():
        return "no loop devices here"
    return next((reason for name in ("mkfs.ext4", "xfs_io", "mount") if (reason := _needs_command(name, "make system-packages")())), None)


def _needs_directory(place: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        return None if (ROOT / place).is_dir() else f"no directory {place} beside the checkout"

    return probe


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tier holds, what is missing for it here (None: nothing), and when it runs."""

    holds: str
    missing: Callable[[], str | None] = _here
    command: str = ""  # the only way it runs; empty: it runs whenever it is collected
    in_ci: bool = True


FOLDERS: Mapping[str, Tier] = {
    "unit": Tier("one module at a time, no sockets"),
    "property": Tier("Hypothesis: any input, any schedule; no sockets"),
    "contract": Tier("one suite inherited by every backend"),
    "functional": Tier("real servers, real TLS, real processes"),
    "conformance": Tier("vectors, and verifiers that nobody here wrote"),
    "fuzz": Tier("fuzzers, half a minute each", _needs_package("atheris")),
    "faults": Tier("disks that fail, processes that are killed, queues that are full"),
    "chains": Tier("real chains: anvil", missing_anvil),
    "chains/hyperledger": Tier("channels of Hyperledger Fabric"),
    "docker": Tier("the image, built and run by a Docker daemon of its own", missing_docker),
    "bench": Tier("figures with their baselines", command="make bench", in_ci=False),
}
MARKS: Mapping[str, Tier] = {
    "shared_vectors": Tier("another project's vectors, read where they lie", _needs_directory("../shared/vectors/merkle")),
    "go": Tier("Go programs: what checks our log, the chaincode", _needs_go),
    "anvil": Tier("an anvil beside something else", missing_anvil),
    "geth": Tier("a second chain client, driven by a consensus of our own", missing_geth),
    "java": Tier("the bridge to Hyperledger Fabric, in a real JVM", missing_bridge),
    "fabric_standin": Tier("ledgers on the stand-in peer, which drives the real chaincode for the real client", missing_standin),
    "fabric": Tier("the same on a real Hyperledger Fabric network", missing_fabric, in_ci=False),
    "openssl": Tier("the openssl command against our formats", _needs_command("openssl", "make system-packages")),
    "faketime": Tier("processes that live at another time", _needs_command("faketime", "make system-packages")),
    "strace": Tier("processes whose system calls fail or are their last", _needs_command("strace", "make system-packages")),
    "power": Tier("the power cut of a file system of its own", _needs_loop_device, in_ci=False),
    "siege": Tier("two hundred kills, an overload that is measured", command="make faults", in_ci=False),
    "wheel": Tier("the built wheel in a clean environment", _needs_command("git", "make system-packages")),
}
TIERS: Mapping[str, Tier] = {**FOLDERS, **MARKS}


@dataclass(slots=True)
class Tally:
    """What was selected and what was left out, by tier; travels from a worker to the controller as plain values."""

    selected: Counter[str] = field(default_factory=Counter)
    missing: dict[str, tuple[int, str]] = field(default_factory=dict)
    known: bool = False

    def leave_out(self, tier: str, reason: str) -> None:
        """Count one test of `tier` that does not run for `reason`; the tier itself did not run only if none of its tests did."""
        self.missing[tier] = (self.missing.get(tier, (0, ""))[0] + 1, reason)
        self.known = True


TALLY = pytest.StashKey[Tally]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tier", action="append", default=[], choices=[n for n, t in TIERS.items() if t.command], help="run this tier too")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()
    for name, tier in MARKS.items():
        config.addinivalue_line("markers", f"{name}: {tier.holds}")


def tiers_of(item: pytest.Item) -> list[str]:
    """Return the tiers a test belongs to: its innermost folder's, then its marks', each once."""
    top, *inner = item.path.relative_to(item.config.rootpath).parts[:-1]
    folders = ["/".join(inner[:depth]) for depth in range(len(inner), 0, -1)] if top == "tests" else []
    folder = next((name for name in folders if name in FOLDERS), "")
    return [name for name in dict.fromkeys((folder, *(mark.name for mark in item.iter_markers()))) if name in TIERS]


def _reason(name: str, config: pytest.Config) -> str | None:
    tier = TIERS[name]
    if tier.command and name not in config.getoption("--tier"):
        return f"runs by {tier.command}"
    return tier.missing()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    tally = config.stash[TALLY]
    tally.known = True
    reasons = {name: _reason(name, config) for name in TIERS}
    kept, left = [], []
    for item in items:
        names = tiers_of(item)
        lacking = {name: reason for name in names if (reason := reasons[name]) is not None}
        if lacking:
            left.append(item)
        else:
            kept.append(item)
            tally.selected.update(names)
        for name in names if lacking else ():
            tally.leave_out(name, lacking.get(name) or f"its tests need {', '.join(lacking)} too")
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    output = getattr(node, "workeroutput", {}).get("tiers")
    if error is None and output is not None:
        node.config.stash[TALLY] = Tally(Counter(output["selected"]), {k: (v[0], v[1]) for k, v in output["missing"].items()}, known=True)


def unmet(config: pytest.Config, tally: Tally) -> list[str]:
    """Return the tiers that CI requires of this run and that did not run: none unless the whole suite was asked for."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (config.option.keyword or config.option.markexpr)
    if not whole or not os.environ.get("CI") or not tally.known or config.option.collectonly:
        return []
    return [name for name, tier in TIERS.items() if tier.in_ci and not tally.selected[name] and (name in tally.missing or name in FOLDERS)]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    tally = config.stash[TALLY]
    output = getattr(config, "workeroutput", None)
    if output is not None:
        output["tiers"] = {"selected": dict(tally.selected), "missing": {k: list(v) for k, v in tally.missing.items()}}
    elif unmet(config, tally) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash[TALLY]
    if not tally.known:
        return
    line = terminalreporter.write_line
    terminalreporter.section("tiers")
    line("ran: " + (", ".join(f"{name} {tally.selected[name]}" for name in TIERS if tally.selected[name]) or "none"))
    for name in TIERS:
        if name in tally.missing and not tally.selected[name]:
            count, reason = tally.missing[name]
            line(f"did not run: {name} ({count} tests): {reason}")
        elif TIERS[name].command and not tally.selected[name]:
            line(f"did not run: {name}: runs by {TIERS[name].command}")
    rest = [n for n, tier in TIERS.items() if not (tally.selected[n] or n in tally.missing or tier.command)]
    line("not asked for: " + (", ".join(rest) or "none"))
    for name in unmet(config, tally):
        line(f"CI requires the tier {name}", red=True)
