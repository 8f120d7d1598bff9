"""The network's revocation list in a home: fetched from the master now and then, used for every server that is spoken to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from auth.revocation import LIST_FILE, RevocationList, parse_list
from ledger.core.errors import LedgerError
from ledger.home.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.transport import Transport
    from ledger.home.home import Home

FETCH_SECONDS = 86_400.0  # for commands; an agent fetches each hour


def list_file(home: Home) -> Path:
    """Return the file of the list."""
    return home.tls / LIST_FILE


def read_list(home: Home, ca: bytes | None) -> RevocationList:
    """Return the list of this home, an empty one when there is none that the CAs (PEM) signed (blocking)."""
    try:
        return parse_list(list_file(home).read_bytes(), ca or b"")
    except (OSError, LedgerError):
        return RevocationList(-1, frozenset())


def is_old(home: Home, now: float) -> bool:
    """Tell whether this home pins a CA and has not asked for its list for a day (blocking)."""
    try:
        return home.ca_file.exists() and not 0 <= now - list_file(home).stat().st_mtime < FETCH_SECONDS
    except OSError:
        return True


async def fetch_list(transport: Transport, home: Home, ca: bytes) -> bool:
    """Get the list from the server and keep it unless it is older than the one here; the transport heeds it. Tell whether it is news.

    Raises what the server raises, FormatError and VerificationError for what is no list of the CA.
    """
    pem = (await transport.get("/v1/crl", private=False)).body
    found, present = await asyncio.to_thread(parse_list, pem, ca), await asyncio.to_thread(read_list, home, ca)
    if found.number < present.number:
        return False
    await asyncio.to_thread(write_file, list_file(home), pem, mode=0o644)
    transport.revoked = found.serials
    return found.serials != present.serials
