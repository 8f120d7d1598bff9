"""Servers that make their own home when they first start, as in containers: names, every interface, and the probe of their health."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from tests.support.command import Cli
from tests.support.live import Server, environment, ledger_cli
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def names_of(home: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate((home / "tls" / "cert.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def probe(home: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ledger.http.probe"]
    return subprocess.run(command, env=environment(METALEDGER_HOME=str(home)), capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Server]:
    server = Server("master", tmp_path / "master", "--create", "demo", "--name", "localhost", "--name", "ledger.example")
    server.start(f"0.0.0.0:{free_port()}")
    yield server
    server.stop()


@pytest.fixture
def node(master: Server, tmp_path: Path) -> Iterator[Server]:
    token = tmp_path / "token"
    Cli(master.home)("create", "invite", "node-1", "--type", "node", "--out", str(token)).good()
    server = Server("node", tmp_path / "node", "--join", f"@{token}", "--name", "node-1.example")
    server.start(f"0.0.0.0:{free_port()}")
    yield server
    server.stop()


def test_the_first_name_is_the_address_of_the_network_and_all_are_in_the_certificate(master: Server) -> None:
    port = master.url.rsplit(":", 1)[1]
    assert f'ledger = "https://localhost:{port}"' in (master.home / "config.toml").read_text()
    assert names_of(master.home) == {"localhost", "ledger.example", "127.0.0.1", "::1"}


def test_a_node_that_listens_everywhere_has_its_names_and_is_asked_on_loopback(master: Server, node: Server) -> None:
    assert names_of(node.home) == {"node-1.example", "localhost", "127.0.0.1", "::1"}
    assert node.url.startswith("https://127.0.0.1:")
    Cli(master.home).publish({"site": {"id": "oslo", "name": "Oslo"}})
    Cli(node.home)("sync").good()  # beside a running agent: the agent is asked
    assert Cli(node.home)("get", "policy", "oslo").code == 0


def test_the_probe_says_whether_the_server_of_a_home_answers(master: Server, node: Server) -> None:
    for server in (master, node):
        done = probe(server.home)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    told = (node.home / "listen.json").read_bytes()
    node.stop()
    assert probe(node.home).returncode == 1
    (node.home / "listen.json").write_bytes(told)  # as after a crash
    gone = probe(node.home)
    assert (gone.returncode, "does not answer" in gone.stderr) == (1, True)
    (node.home / "listen.json").write_bytes(b"[]")
    assert probe(node.home).returncode == 1
    foreign = (master.home / "listen.json").read_bytes()
    (node.home / "listen.json").write_bytes(foreign)
    assert probe(node.home).returncode == 0  # the same CA
    (node.home / "tls" / "ca.pem").unlink()
    assert probe(node.home).returncode == 1


def test_names_without_a_network_to_create_are_a_usage_error(tmp_path: Path) -> None:
    done = ledger_cli(tmp_path / "home", "run", "master", "--name", "localhost")
    assert (done.returncode, "--create" in done.stderr) == (2, True)
