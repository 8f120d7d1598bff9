"""Homes of a network that a chain orders, and the account file that pays for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eth_account import Account as EthAccount

from ledger.core.errors import LedgerError
from ledger.home.home import Home
from tests.support.live import ledger_cli

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.support.contract import Contract, Node

PHRASE = "only for tests"
WEAK = 2  # rounds of key derivation: a test need not wait


def write_account(path: Path, key: str) -> Path:
    """Write a keystore file, encrypted as weakly as the format allows."""
    path.write_text(json.dumps(EthAccount.encrypt(bytes.fromhex(key[2:]), PHRASE, kdf="pbkdf2", iterations=WEAK)))
    path.chmod(0o600)
    return path


@dataclass(frozen=True, slots=True)
class Founded:
    """A network that was made: its id, the home of its admin, and how many entries its log began with."""

    network: str
    home: Path
    size: int


async def found(node: Node, contract: Contract, folder: Path) -> Founded:
    """Make a network that the contract orders, with its home in `folder`/admin."""
    account = await asyncio.to_thread(write_account, folder / "account.json", node.key)
    home = folder / "admin"
    words = ("create", "network", "sea", "--url", contract.ledger, "--account", str(account), "-o", "json")
    done = await asyncio.to_thread(ledger_cli, home, *words, METALEDGER_PASSPHRASE=PHRASE)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    return Founded(facts["network"], home, facts["size"])


def configure(home: Path, **changes: object) -> None:
    """Change settings of a home."""
    place = Home(home)
    place.write_config({**place.read_config(), **changes})


def reader_home(path: Path, network: str, ledger: str, **settings: object) -> Path:
    """Make a home that only reads."""
    Home(path).create()
    Home(path).write_config({"role": "member", "network": network, "ledger": ledger, **settings})
    return path


async def eventually(done: Callable[[], Awaitable[bool]], *, tries: int = 200) -> None:
    """Wait until something is so; errors count as not yet."""
    for _ in range(tries):
        try:
            if await done():
                return
        except LedgerError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come about")
