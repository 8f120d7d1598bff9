"""A master and two nodes, each a confined container on the machine's own network: published, synced, killed, started again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.docker.engine import EngineError
from tests.docker.images import IMAGE
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.docker.engine import Engine

pytestmark = pytest.mark.timeout(600)

CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host")
STATUS = "print(dict(line.split(':\\t', 1) for line in open('/proc/1/status').read().splitlines() if ':\\t' in line))"
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Container:
    """One server in a container whose volume has its name."""

    engine: Engine
    name: str
    port: int

    def start(self, *words: str, share: str) -> None:
        volumes = ("--volume", f"{self.name}:/var/lib/metaledger", "--volume", f"{share}:/run/invites")
        listen = ("--env", f"METALEDGER_LISTEN=127.0.0.1:{self.port}")
        health = ("--health-interval", "1s")
        self.engine.docker("run", "--detach", "--name", self.name, *CONFINED, *volumes, *listen, *health, IMAGE, *words)
        self.await_healthy()

    def await_healthy(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (state := self.engine.docker("inspect", "--format", "{{.State.Health.Status}}", self.name).strip()) != "healthy":
            assert time.monotonic() < deadline, f"{state}: {self.engine.attempt('logs', self.name).stderr}"
            time.sleep(0.2)

    def cli(self, *words: str, typed: str | None = None) -> str:
        return self.engine.docker("exec", "--interactive", self.name, "python3", "-m", "ledger.cli", *words, typed=typed)

    def publish(self, name: str) -> None:
        self.cli("publish", "policy", "-", typed=json.dumps({"site": {"id": name, "name": name}}))

    def await_site(self, name: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while name not in self.sites():
            assert time.monotonic() < deadline, self.engine.attempt("logs", self.name).stderr
            time.sleep(0.2)

    def sites(self) -> set[str]:
        return set(self.cli("get", "site", "-o", "id").split())


@pytest.fixture
def servers(engine: Engine) -> Iterator[tuple[Container, Container, Container]]:
    master, first, second = (
        Container(engine, name, port) for name, port in zip(("ml-master", "ml-node-1", "ml-node-2"), free_ports(3), strict=True)
    )
    try:
        master.start("run", "master", "--create", "demo", share="ml-invites")
        for node in (first, second):
            token = f"/run/invites/{node.name}.token"
            master.cli("create", "invite", node.name, "--type", "node", "--out", token)
            node.start("run", "node", "--join", f"@{token}", share="ml-invites")
        yield master, first, second
    finally:
        engine.attempt("rm", "--force", master.name, first.name, second.name)
        engine.attempt("volume", "rm", "--force", master.name, first.name, second.name, "ml-invites")


def test_a_master_and_two_nodes_serve_survive_and_write_nothing_beside_their_volumes(
    engine: Engine, servers: tuple[Container, Container, Container]
) -> None:
    master, *nodes = servers
    master.publish("oslo")
    for node in nodes:
        node.await_site("oslo")
    engine.docker("kill", "--signal", "KILL", master.name)
    assert [node.sites() for node in nodes] == [{"oslo"}, {"oslo"}]  # with the master gone
    engine.docker("restart", nodes[0].name)
    nodes[0].await_healthy()  # its token is spent: the home is there
    engine.docker("start", master.name)
    master.await_healthy()
    master.publish("bergen")
    for node in nodes:
        node.await_site("bergen")
        node.cli("verify", "ledger")
    assert_confined(engine, servers)
    for server in servers:
        engine.docker("stop", "--time", "30", server.name)
        assert engine.docker("inspect", "--format", "{{.State.ExitCode}}", server.name).strip() == "0"
        assert engine.docker("diff", server.name).strip() == ""


def assert_confined(engine: Engine, servers: tuple[Container, ...]) -> None:
    for server in servers:
        seen = engine.docker("exec", server.name, "python3", "-c", STATUS)
        assert "'Uid': '65532\\t65532\\t65532\\t65532'" in seen
        assert "'CapEff': '0000000000000000'" in seen
        assert "'NoNewPrivs': '1'" in seen
        with pytest.raises(EngineError, match="Read-only file system"):
            engine.docker("exec", server.name, "python3", "-c", "open('/tmp/x', 'w')")
