"""Without the libraries of Ethereum: every verb that needs them says what to install, and nothing else ever loads them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = ("web3", "eth_account", "eth_abi", "eth_utils", "coincurve", "rlp", "pydantic")
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({LIBRARIES}))"
CONTRACT = "0x" + "1" * 40
ROOTS = "ledger.cli.main, ledger.client.client, ledger.node.node, master.app, blockchain_adapters.submit, blockchain_adapters.codec"


@pytest.mark.parametrize(
    "words",
    [
        ("create", "account"),
        ("create", "contract", "ethereum+http://127.0.0.1:9", "--dry-run"),
        ("create", "contract", "ethereum+http://127.0.0.1:9"),
        ("get", "operator", "--ledger", f"ethereum+http://127.0.0.1:9/{CONTRACT}"),
    ],
)
def test_a_verb_of_ethereum_says_what_to_install(embedded_template: Path, words: tuple[str, ...]) -> None:
    program = f"{WITHOUT}; from ledger.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "--home", str(embedded_template), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "metaledger[ethereum]"' in done.stderr


def test_nothing_else_loads_them() -> None:
    loaded = f"import sys, {ROOTS}; print(sorted(set(sys.modules) & set({LIBRARIES})))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=50)
    assert done.stdout.strip() == "[]"
