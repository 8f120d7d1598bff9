"""`python3 invites.py DIRECTORY NAME…`: a join token for each node that needs one. Run again, it makes only what is missing.

A node that is a member already needs none; a token whose invite can still be used stays. The home (METALEDGER_HOME) is an admin's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from ledger import LedgerClient


async def make_invites(directory: Path, names: list[str]) -> None:
    """Write `NAME.token` (0600) for each name that is no member and has no token that can still be used."""
    async with LedgerClient.open() as client:
        members = {str(one["name"]) for policy in (await client.get("member")).policies if isinstance(one := policy["member"], dict)}
        invited = {invite["name"] for invite in await client.invites()}
        for name in names:
            file = directory / f"{name}.token"
            if name in members or (name in invited and file.exists()):
                say(f"{name}: nothing to do")
                continue
            write(file, await client.invite(name, "node"))
            say(f"{name}: invited")


def write(file: Path, token: str) -> None:
    """Write a file that only its owner can read, in the place of what was there."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(token + "\n")


def say(text: str) -> None:
    """Tell people what was done; never a token."""
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    asyncio.run(make_invites(Path(sys.argv[1]), sys.argv[2:]))
