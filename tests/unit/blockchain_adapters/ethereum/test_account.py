"""Keystore files: made and read, never over another, never by others, never with work that nobody writes; and no key in sight."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account as EthAccount

from blockchain_adapters.ethereum.account import Account, create_account, open_account, read_address
from ledger.core.errors import BusyError, ConflictError, FormatError, NotFoundError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "11" * 32
KEY = bytes.fromhex(SECRET)
CHEAP: Any = {"kdf": "pbkdf2", "iterations": 10}


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "ethereum.json"
    path.write_text(json.dumps(EthAccount.encrypt(KEY, "open sesame", **CHEAP)))
    path.chmod(0o600)
    return path


def test_a_key_is_made_and_opened(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    address = create_account(path, "open sesame")
    assert path.stat().st_mode & 0o777 == 0o600
    account = open_account(path, "open sesame")
    assert account.address == address == read_address(path)
    with pytest.raises(ConflictError):
        create_account(path, "open sesame")
    account.close()


def test_an_empty_passphrase_protects_nothing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        create_account(tmp_path / "new.json", "")


def test_the_key_shows_nowhere(keystore: Path) -> None:
    account = open_account(keystore, "open sesame")
    shown = f"{account!r} {account} {vars(account)}"
    assert SECRET not in shown
    assert account.address in repr(account)
    with pytest.raises(UsageError) as caught:
        open_account(keystore, "wrong words")
    assert "wrong words" not in str(caught.value) + str(caught.value.__cause__)


def test_one_process_numbers_the_transactions(keystore: Path) -> None:
    first = open_account(keystore, "open sesame")
    with pytest.raises(BusyError):
        open_account(keystore, "open sesame")
    assert open_account(keystore, "open sesame", exclusive=False).address == first.address
    first.close()
    first.close()
    open_account(keystore, "open sesame").close()


def test_a_file_that_others_may_read_is_refused(keystore: Path) -> None:
    keystore.chmod(0o640)
    with pytest.raises(UsageError, match="mode 0640"):
        open_account(keystore, "open sesame")
    with pytest.raises(NotFoundError):
        open_account(keystore.with_name("none.json"), "open sesame")


def crypto(**changes: Any) -> dict[str, Any]:
    keystore = EthAccount.encrypt(KEY, "x", **CHEAP)
    keystore["crypto"] |= changes
    return dict(keystore)


@pytest.mark.parametrize(
    "keystore",
    [
        None,
        [],
        {},
        {"version": 3},
        {"version": 1, "crypto": {}},
        {"version": 3, "crypto": {"kdfparams": 5}},
        crypto(kdf="scrypt", kdfparams={"n": 2**30, "r": 8, "p": 1, "dklen": 32, "salt": "00"}),
        crypto(kdf="scrypt", kdfparams={"n": 2**18, "r": 8, "p": 10**9, "dklen": 32, "salt": "00"}),
        crypto(kdfparams={"c": 10**12, "prf": "hmac-sha256", "dklen": 32, "salt": "00"}),
        crypto(kdfparams={"c": True, "prf": "hmac-sha256", "dklen": 32, "salt": "00"}),
    ],
)
def test_what_is_no_keystore_is_refused_before_any_work(tmp_path: Path, keystore: object) -> None:
    path = tmp_path / "k.json"
    path.write_text(json.dumps(keystore))
    path.chmod(0o600)
    with pytest.raises(FormatError):
        open_account(path, "x")


@pytest.mark.parametrize("changes", [{"kdf": "none"}, {"mac": "00"}, {"ciphertext": "zz"}, {"kdfparams": {"c": 1}}])
def test_a_damaged_keystore_is_said_to_be(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "k.json"
    path.write_text(json.dumps(crypto(**changes)))
    path.chmod(0o600)
    with pytest.raises(UsageError, match="damaged"):
        open_account(path, "x")


def test_the_same_transaction_has_the_same_bytes() -> None:
    account = Account(EthAccount.from_key(SECRET))
    wanted = {
        "type": 2,
        "chainId": 1,
        "nonce": 0,
        "to": account.address,
        "value": 0,
        "gas": 21_000,
        "maxFeePerGas": 2,
        "maxPriorityFeePerGas": 1,
    }
    assert account.sign(wanted) == account.sign(wanted)
    assert EthAccount.recover_transaction(account.sign(wanted)[0]) == account.address


def test_what_the_library_does_to_the_interpreter_is_undone() -> None:
    imported = "import blockchain_adapters.ethereum.account"
    said = f"import sys; before = sys.getrecursionlimit(); {imported}; print(before, sys.getrecursionlimit())"
    ran = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    before, after = ran.stdout.split()
    assert before == after
