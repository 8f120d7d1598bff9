"""The identity with which a home writes: whether it may, and what keeps it from that. Nothing is sent: the peers sign what would be."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from blockchain_adapters.hyperledger.identity import KEY_FILE, read_identity
from ledger.core.canonical import format_time
from ledger.core.errors import LedgerError, NotAllowedError

if TYPE_CHECKING:
    from blockchain_adapters.hyperledger.source import FabricSource
    from ledger.home.home import Home

SAMPLE: Final = b"\x00"  # a batch that holds nothing, for the chaincode to judge who asks
NOBODY: Final = "Ask who administers the chaincode to allow the identity (Configure): docs/hyperledger.md, Who may append."


async def describe_payer(source: FabricSource, home: Home) -> dict[str, object] | None:
    """Return the identity of a home as `status` shows it: its name, whether it may append, and until when its certificate is good.

    `problem` and `advice` say what keeps it from writing, None when nothing does.
    """
    identity = await asyncio.to_thread(read_identity, home.keys / KEY_FILE)
    name, expires = _certificate(identity.certificate)
    problem = await _problem(source)
    return {
        "address": f"{source.msp}/{name}",
        "allowed": not isinstance(problem, NotAllowedError),
        "expires": expires,
        "problem": None if problem is None else problem.message,
        "advice": None if problem is None else NOBODY if _is_refused(problem) else problem.hint,
    }


async def _problem(source: FabricSource) -> LedgerError | None:
    try:
        await source.ask(lambda provider: provider.peer.endorse("Append", SAMPLE))
    except LedgerError as error:
        return error
    return None


def _is_refused(error: LedgerError) -> bool:
    """Tell whether the chaincode itself says so, not a peer that does not take the certificate."""
    return type(error) is NotAllowedError


def _certificate(pem: str) -> tuple[str, str | None]:
    """Return whom a certificate names, and until when it is good."""
    try:
        found = x509.load_pem_x509_certificate(pem.encode())
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return "?", None
    return str(names[0].value) if names else "?", format_time(int(found.not_valid_after_utc.timestamp()))


__all__ = ["describe_payer"]
