"""The account that pays: a key in an encrypted keystore file, and the right to be the only one who numbers its transactions.

The file is what Ethereum's own tools write (Web3 Secret Storage, version 3), so any of them can make or read it. The key lives in memory
only, never in an argument, an environment, a repr, a log line or an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from eth_utils.address import to_checksum_address

from blockchain_adapters.ethereum.keystore_library import EthAccount
from ledger.core.errors import FormatError, NotFoundError, UsageError
from ledger.home.files import create_file, read_private_file
from ledger.home.lock import WriterLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from eth_account.signers.local import LocalAccount

KEY_FILE: Final = "ethereum.json"
_MOST_SCRYPT: Final = 2**22  # n r p: 512 MiB and some seconds; geth writes 2**21
_MOST_ROUNDS: Final = 20_000_000  # of PBKDF2
_MAX_KEYSTORE: Final = 16_384


class Account:
    """A key that signs transactions of one chain. Made by `open_account`."""

    def __init__(self, local: LocalAccount, lock: WriterLock | None = None) -> None:
        self._local = local
        self._lock = lock
        self.address: str = local.address

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def sign(self, transaction: Mapping[str, Any]) -> tuple[bytes, str]:
        """Return the raw signed transaction and its hash. The same transaction always gives the same bytes (RFC 6979)."""
        signed = self._local.sign_transaction(dict(transaction))
        return bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex()

    def close(self) -> None:
        """Let another process number the account's transactions. Idempotent."""
        if self._lock is not None:
            self._lock.release()


def open_account(path: Path, passphrase: str, *, exclusive: bool = True) -> Account:
    """Decrypt a keystore file, and with `exclusive` become the owner of the account's nonces on this machine.

    It takes about a second: use a thread. Raises NotFoundError, FormatError for what is no keystore, UsageError for a wrong passphrase or a
    file that others may read, and BusyError while another process owns the nonces.
    """
    keystore = _read(path)
    try:
        key = EthAccount.decrypt(keystore, passphrase)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"The passphrase of {path} is wrong, or the file is damaged.") from error
    local = EthAccount.from_key(key)
    lock = WriterLock.take(path.with_name(f".nonces-{local.address.lower()}")) if exclusive else None
    return Account(local, lock)


def create_account(path: Path, passphrase: str) -> str:
    """Make a key, write it to a new keystore file of mode 0600, and return its address. Takes about a second: use a thread.

    Raises UsageError for an empty passphrase, ConflictError when the file is there.
    """
    if not passphrase:
        raise UsageError("An empty passphrase protects nothing.", advice="Give one, by a prompt or a file.")
    local = EthAccount.create()
    create_file(path, orjson.dumps(EthAccount.encrypt(local.key, passphrase)))
    return str(local.address)


def read_address(path: Path) -> str | None:
    """Return the address that a keystore file names, without opening it; None when it names none. Raises as `open_account`."""
    address = _read(path).get("address")
    try:
        return to_checksum_address(address) if isinstance(address, str) else None
    except ValueError as error:
        raise FormatError(f"{path} names an address that is none") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return _parse(read_private_file(path))
    except NotFoundError as error:
        advice = "Make one with `ledger-cli create account`, or name its file with --key."
        raise NotFoundError(f"no account's key at {path}", advice=advice) from error


def _parse(text: bytes) -> dict[str, Any]:
    """Return the keystore of a file. FormatError for what is none, and for one whose key would take minutes or gigabytes to derive."""
    try:
        keystore = orjson.loads(text) if len(text) <= _MAX_KEYSTORE else None
    except orjson.JSONDecodeError:
        keystore = None
    crypto = keystore.get("crypto", keystore.get("Crypto")) if isinstance(keystore, dict) else None
    if not isinstance(keystore, dict) or not isinstance(crypto, dict) or keystore.get("version") != 3:  # noqa: PLR2004 - the format's only version
        raise FormatError("that is no keystore file of Ethereum", advice="Make one: ledger-cli create account.")
    numbers = crypto.get("kdfparams")
    if not isinstance(numbers, dict):
        raise FormatError("the keystore file does not say how its key is derived")
    work = [numbers.get(name, 1) for name in ("n", "r", "p", "c")]
    if any(type(one) is not int or one < 1 for one in work) or work[0] * work[1] * work[2] > _MOST_SCRYPT or work[3] > _MOST_ROUNDS:
        raise FormatError("the keystore file asks for more work than any tool writes")
    return keystore
