"""Revocation lists as a client keeps them: which certificates of the network's CA count no more.

A list is believed for what its CA signed, however old it is: what was revoked stays so. A list that cannot be had revokes nothing, so
that a home that was away for long can still get the next one (docs/security.md, TLS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import FormatError, VerificationError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

LIST_FILE = "crl.pem"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """The serial numbers on a list, and the list's own number, which grows from one to the next."""

    number: int
    serials: frozenset[int]


def parse_list(pem: bytes, ca: bytes) -> RevocationList:
    """Return what a list (PEM) says that one of the CAs (PEM) signed. FormatError for no list, VerificationError for one of others."""
    from cryptography import x509  # noqa: PLC0415 - 60 ms that a home without a list need not pay
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above

    from auth.pki import load_chain  # noqa: PLC0415 - as above

    try:
        found = x509.load_pem_x509_crl(pem)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        serials = frozenset(one.serial_number for one in found)
        signed = any(_signed(found, one) for one in load_chain(ca))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
        raise FormatError("That is no revocation list in PEM.") from error
    if not signed:
        raise VerificationError("The revocation list is not of the network's CA.")
    return RevocationList(number, serials)


def _signed(found: x509.CertificateRevocationList, ca: x509.Certificate) -> bool:
    key: CertificateIssuerPublicKeyTypes = ca.public_key()  # type: ignore[assignment]  # a CA has a key that signs
    return found.issuer == ca.subject and found.is_signature_valid(key)
