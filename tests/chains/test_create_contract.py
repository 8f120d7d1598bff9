"""`create account` and `create contract` on a real chain."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account as EthAccount

from blockchain_adapters.ethereum.artifact import load_artifact
from tests.support.anvil import FUNDED, FUNDED_KEY
from tests.support.command import Cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil
    from tests.support.command import Ran

PHRASE = "open sesame"
CHEAP: Any = {"kdf": "pbkdf2", "iterations": 10}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose keystore is that of the funded account."""
    home = tmp_path / "home"
    (home / "keys").mkdir(parents=True)
    key = home / "keys" / "ethereum.json"
    key.write_text(json.dumps(EthAccount.encrypt(bytes.fromhex(FUNDED_KEY[2:]), PHRASE, **CHEAP)))
    key.chmod(0o600)
    (tmp_path / "phrase").write_text(PHRASE)
    (tmp_path / "phrase").chmod(0o600)
    return home


async def ran(home: Path, *words: str) -> Ran:
    phrase = str(home.parent / "phrase")
    return await asyncio.to_thread(lambda: Cli(home)(*words, METALEDGER_PASSPHRASE_FILE=phrase))


async def test_a_contract_is_made_for_the_account_alone(anvil: Anvil, home: Path) -> None:
    done = (await ran(home, "create", "contract", f"ethereum+{anvil.url}", "-o", "json")).good()
    facts = done.json
    assert facts["ledger"] == f"ethereum+{anvil.url}/{facts['contract']}"
    assert (facts["chain"], facts["account"]) == (anvil.chain, FUNDED)
    code = await anvil.call("eth_getCode", facts["contract"], "latest")
    assert bytes.fromhex(code[2:]) == (await asyncio.to_thread(load_artifact)).runtime
    allowed = await anvil.call("eth_call", {"to": facts["contract"], "data": "0x" + is_submitter(FUNDED)}, "latest")
    assert int(allowed, 16) == 1
    assert PHRASE not in done.out + done.err


def is_submitter(address: str) -> str:
    from eth_utils.crypto import keccak  # noqa: PLC0415 - beside the one line that needs it

    return keccak(text="isSubmitter(address)")[:4].hex() + address[2:].lower().rjust(64, "0")


async def test_a_dry_run_says_what_it_costs_and_does_nothing(anvil: Anvil, home: Path) -> None:
    words = ("create", "contract", f"ethereum+{anvil.url}", "--anybody")
    dry = (await ran(home, *words, "--dry-run", "-o", "json")).good().json
    assert await anvil.height() == 0
    assert (dry["submitters"], dry["account"]) == ("anybody", FUNDED)
    done = (await ran(home, *words, "-o", "json")).good().json
    assert done["contract"] == dry["contract"]  # its address is known before it stands
    assert done["gas"] <= dry["gas"] < done["gas"] * 1.3
    assert float(done["cost"].split()[0]) <= float(dry["most"].split()[0])
    assert (await ran(home, *words, "-o", "id")).good().out.strip().startswith("0x")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("ethereum+http://127.0.0.1:9",), 4, "no connection"),
        (("https://127.0.0.1:9",), 2, "names no provider"),
        (("ethereum+http://127.0.0.1:9/0x" + "1" * 40,), 2, "names a contract already"),
        (("URL", "--submitter", "0x123"), 2, "is no address"),
        (("URL", "--submitter", "0x52908400098527886E0F7030069857D2E4169Ee7"), 2, "is no address"),
        (("URL", "--submitter", FUNDED, "--anybody"), 2, "exclude each other"),
        (("URL", "--max-fee", "1", "--key", "/nowhere/key.json"), 1, "create account"),
    ],
)
async def test_what_cannot_be_done_is_said(anvil: Anvil, home: Path, words: tuple[str, ...], code: int, says: str) -> None:
    words = tuple(f"ethereum+{anvil.url}" if one == "URL" else one for one in words)
    done = await ran(home, "create", "contract", *words)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert await anvil.height() == 0


async def test_a_fee_above_the_cap_is_not_paid(anvil: Anvil, home: Path) -> None:
    await anvil.call("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    await anvil.mine()
    done = await ran(home, "create", "contract", f"ethereum+{anvil.url}", "--max-fee", "20")
    assert done.code == 4
    assert "the cap is 20 gwei" in done.err


async def test_an_account_without_funds_is_named(anvil: Anvil, home: Path) -> None:
    await anvil.call("anvil_setBalance", FUNDED, "0x0")
    done = await ran(home, "create", "contract", f"ethereum+{anvil.url}")
    assert done.code == 4
    assert "funds" in done.err.lower()


async def test_a_wrong_passphrase_sends_nothing(anvil: Anvil, home: Path) -> None:
    (home.parent / "phrase").write_text("something else")
    done = await ran(home, "create", "contract", f"ethereum+{anvil.url}")
    assert done.code == 2
    assert "passphrase" in done.err
    assert "something else" not in done.err
    assert await anvil.height() == 0


async def test_an_account_is_made_and_pays(anvil: Anvil, home: Path) -> None:
    key = home.parent / "own.json"
    address = (await ran(home, "create", "account", "--key", str(key))).good().out.strip()
    await anvil.call("anvil_setBalance", address, hex(10**18))
    done = (await ran(home, "create", "contract", f"ethereum+{anvil.url}", "--key", str(key), "-o", "json")).good().json
    assert done["account"] == address
    assert key.stat().st_mode & 0o777 == 0o600
    again = await ran(home, "create", "account", "--key", str(key))
    assert (again.code, again.out) == (5, "")
