"""Without the libraries of an extra: every verb that needs them says what to install, and nothing else notices."""

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
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["founded"]

LIBRARIES = {
    "ethereum": ("web3", "coincurve", "eth_abi", "eth_account", "eth_utils", "eth_keys", "rlp", "pydantic"),
    "hyperledger": ("py4j", "yaml", "metaledger_fabric"),
}
ALL = [name for names in LIBRARIES.values() for name in names]
URLS = {
    "ethereum": f"ethereum+http://127.0.0.1:1/0x{'ab' * 20}",
    "hyperledger": "hyperledger:///nowhere/connection.yaml?channel=ledger&chaincode=metaledger",
}
RUN = (
    "import sys\n"
    "sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(',')))\n"  # as if they were not installed
    "from ledger.cli.main import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)
# What every ledger on a chain is asked, and what only Ethereum's are.
SHARED = [
    ("sync",),
    ("get", "site"),
    ("publish", "policy", "policy.json"),
    ("watch",),
    ("create", "network", "sea", "--url", "URL", "--account", "account.json"),
    ("get", "operator", "--ledger", "URL"),
    ("audit", "URL", "URL"),
]
CASES = [
    *[(extra, words) for extra in LIBRARIES for words in SHARED],
    ("ethereum", ("create", "account")),
    ("ethereum", ("create", "contract", "ethereum+http://127.0.0.1:1")),
    ("ethereum", ("create", "contract", "ethereum+http://127.0.0.1:1", "--dry-run")),
]


def program(libraries: Iterable[str]) -> tuple[str, ...]:
    """Return `ledger-cli` where these are not installed."""
    return sys.executable, "-c", RUN, ",".join(libraries)


def without(libraries: Iterable[str], home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*program(libraries), *words, "--home", str(home)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("extra", "words"), CASES, ids=[f"{extra}: {' '.join(words)}" for extra, words in CASES])
def test_what_needs_the_extra_says_so(extra: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.json").write_text('{"site": {"name": "Oslo"}}')
    (tmp_path / "account.json").write_text("{}")
    reader = Home(tmp_path / "reader")
    reader.create()
    reader.write_config({"role": "member", "network": "ab" * 32, "ledger": URLS[extra]})
    typed = [URLS[extra] if word == "URL" else word for word in words]
    done = without(LIBRARIES[extra], tmp_path / "new" if words[:2] == ("create", "network") else reader.path, *typed)
    assert done.returncode == 2, done.stderr
    assert f'pip install "metaledger[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("extra", LIBRARIES)
def test_a_master_whose_log_is_to_be_mirrored_serves_on_and_says_what_its_mirror_lacks(extra: str, founded: Path, tmp_path: Path) -> None:
    lacking, url = LIBRARIES[extra], URLS[extra]
    assert f"metaledger[{extra}]" in without(lacking, founded, "add", "mirror", url, "--dry-run").stderr
    with live(founded, tmp_path, make=partial(Server, command=program(lacking))) as network:
        write_mirrors(Home(network.home), [Mirror(url=url, key="account.json")])
        network.master.stop()
        network.master.restart()
        published = asyncio.run(network.publish("Oslo"))
        assert published[0].result == "published"
        [mirror] = json.loads(without(lacking, network.home, "get", "mirrors", "-o", "json").stdout)
        assert (mirror["state"], mirror["code"]) == ("waits", "missing-extra")
        assert f'pip install "metaledger[{extra}]"' in mirror["advice"]
        assert "Traceback" not in network.master.log_text()


def test_nothing_else_needs_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert without(ALL, home, "create", "network", "sea", "--url", f"sqlite://{home}/ledger.db").returncode == 0
    assert without(ALL, home, "get", "all").returncode == 0


def test_the_core_and_the_product_load_without_them() -> None:
    program = (
        "import sys, ledger, ledger.cli.main, master.app, ledger.node.agent, blockchain_adapters.submit, blockchain_adapters.codec\n"
        f"sys.exit([name for name in {ALL!r} if name in sys.modules] != [])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
