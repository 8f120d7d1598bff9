"""Without the libraries of the extra `ethereum`: every verb that needs them says what to install, and nothing else notices."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ledger.home.home import Home
from ledger.home.mirrors import Mirror, write_mirrors
from tests.support.live import Server, environment, founded, live

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["founded"]

LIBRARIES = ("web3", "coincurve", "eth_abi", "eth_account", "eth_utils", "eth_keys", "rlp", "pydantic")
RUN = (
    "import sys\n"
    f"sys.modules.update(dict.fromkeys({LIBRARIES!r}))\n"  # as if they were not installed
    "from ledger.cli.main import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
URL = f"ethereum+http://127.0.0.1:1/0x{'ab' * 20}"


def without(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *words, "--home", str(home)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    home = Home(tmp_path / "reader")
    home.create()
    home.write_config({"role": "member", "network": "ab" * 32, "ledger": URL})
    return home.path


@pytest.mark.parametrize(
    "words",
    [
        ("sync",),
        ("get", "site"),
        ("publish", "policy", "policy.json"),
        ("watch",),
        ("create", "network", "sea", "--url", URL, "--account", "account.json"),
        ("create", "account"),
        ("create", "contract", "ethereum+http://127.0.0.1:1"),
        ("create", "contract", "ethereum+http://127.0.0.1:1", "--dry-run"),
        ("get", "operator", "--ledger", URL),
        ("audit", URL, URL),
    ],
    ids=" ".join,
)
def test_what_needs_the_extra_says_so(reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text('{"site": {"name": "Oslo"}}')
    (tmp_path / "account.json").write_text("{}")
    done = without(tmp_path / "new" if words[:2] == ("create", "network") else reader, *words)
    assert done.returncode == 2, done.stderr
    assert 'pip install "metaledger[ethereum]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_master_whose_log_is_to_be_mirrored_serves_on_and_says_what_its_mirror_lacks(founded: Path, tmp_path: Path) -> None:
    assert "metaledger[ethereum]" in without(founded, "add", "mirror", URL, "--dry-run").stderr
    with live(founded, tmp_path, make=partial(Server, command=(sys.executable, "-c", RUN))) as network:
        write_mirrors(Home(network.home), [Mirror(url=URL, key="ethereum.json")])
        network.master.stop()
        network.master.restart()
        published = asyncio.run(network.publish("Oslo"))
        assert published[0].result == "published"
        [mirror] = json.loads(without(network.home, "get", "mirrors", "-o", "json").stdout)
        assert (mirror["state"], mirror["code"]) == ("waits", "missing-extra")
        assert 'pip install "metaledger[ethereum]"' in mirror["advice"]
        assert "Traceback" not in network.master.log_text()


def test_nothing_else_needs_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert without(home, "create", "network", "sea", "--url", f"sqlite://{home}/ledger.db").returncode == 0
    assert without(home, "get", "all").returncode == 0


def test_the_core_and_the_product_load_without_it() -> None:
    program = (
        "import sys, ledger, ledger.cli.main, master.app, ledger.node.agent, blockchain_adapters.submit, blockchain_adapters.codec\n"
        f"sys.exit([name for name in {LIBRARIES!r} if name in sys.modules] != [])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
