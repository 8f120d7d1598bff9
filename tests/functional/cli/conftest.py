"""Homes for the command tests: an embedded network, and one with a running master, each made once a module."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network
from tests.support.command import Cli
from tests.support.live import found_network, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.live import LiveNetwork

POLICIES = (
    {"operator": {"id": "acme", "name": "acme", "company": "ACME Metering", "ip": "10.0.0.11", "port": 32148}},
    {"operator": {"id": "zeta", "name": "zeta", "company": "Zeta", "ip": "10.0.0.12", "port": 32149, "tags": ["a", "b"]}},
    {"site": {"id": "oslo", "name": "Oslo", "lat": 59.9}},
)


@pytest.fixture(scope="session")
def embedded_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an embedded ledger and a few policies in it. Read it only, or copy it."""
    home = tmp_path_factory.mktemp("embedded") / "home"
    asyncio.run(create_network(home, NewNetwork("example", f"sqlite://{home}/ledger.db"), SystemClock()))
    Cli(home).publish(*POLICIES)
    return home


@pytest.fixture
def reader(embedded_template: Path) -> Cli:
    """The commands of the embedded home, for reading only."""
    return Cli(embedded_template)


@pytest.fixture
def cli(embedded_template: Path, tmp_path: Path) -> Cli:
    """The commands of a copy of the embedded home, to do with as the test likes."""
    home = tmp_path / "home"
    shutil.copytree(embedded_template, home)
    config = home / "config.toml"
    config.write_text(config.read_text().replace(str(embedded_template), str(home)))
    return Cli(home)


@pytest.fixture(scope="session")
def served_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a new network, to be copied."""
    return found_network(tmp_path_factory.mktemp("founded") / "home")


@pytest.fixture(scope="module")
def network(served_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    """A network with a master process over TLS, one for all tests of a module that leave it running."""
    with live(served_template, tmp_path_factory.mktemp("served")) as network:
        yield network


@pytest.fixture
def mortal(served_template: Path, tmp_path: Path) -> Iterator[LiveNetwork]:
    """A network for one test, which stops its master."""
    with live(served_template, tmp_path) as network:
        yield network


@pytest.fixture
def admin(network: LiveNetwork) -> Cli:
    """The commands of the first admin, who lives in the master's home."""
    return Cli(network.home)
