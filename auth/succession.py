"""One CA of a network follows another without anybody joining anew.

The old CA signs a certificate of the new CA's key: the link (RFC 4210 calls it NewWithOld). Servers show it, and both CAs, behind
their own certificate. A home that pins the old CA follows the link, pins the new one, and trusts both as long as the link is
good, which is as long as certificates by the old CA may be. The link, and the CAs before, lie in `ca-old.pem`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from auth.pki import load_chain, verify_chain
from ledger.core.errors import FormatError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMER = "ca-old.pem"
MOST_SHOWN = 16  # certificates of a chain that are looked at


def anchors(ca: bytes, former: bytes, now: float) -> bytes:
    """Return what is trusted at `now`: the CA of the PEM `ca`, and those of `former` whose link to the next one is good still."""
    links = load_chain(former) if former.strip() else []
    older = [one for one in links if issued(one, one) and any(_links(link, one, now) for link in links)]
    return b"".join(one.public_bytes(Encoding.PEM) for one in [*load_chain(ca), *older])


def still_good(former: bytes, now: float) -> bytes:
    """Return the part of `former` that still says something at `now`: links that are good, and the CAs that signed them."""
    links = load_chain(former) if former.strip() else []
    good = [link for link in links if any(_links(link, one, now) for one in links)]
    kept = [one for one in links if one in good or any(issued(link, one) for link in good)]
    return b"".join(one.public_bytes(Encoding.PEM) for one in kept)


def successor_in(chain: Sequence[x509.Certificate], pinned: Sequence[x509.Certificate], now: float) -> tuple[bytes, bytes] | None:
    """Return the CA that a server is under now, and what goes into `ca-old.pem`, if links lead from `pinned` to it; else None (PEMs).

    Nothing that the server shows is believed but what a pinned CA signed.
    """
    trusted, links, shown = list(pinned), list[x509.Certificate](), chain[:MOST_SHOWN]
    for _ in shown:
        pairs = [(link, new) for link in shown for new in shown if link not in links and new not in trusted]
        found = [(link, new) for link, new in pairs if _leads(link, new, trusted, now)]
        links += [link for link, _ in found]
        trusted += [new for _, new in found]
    for new in trusted[len(pinned) :]:
        try:
            verify_chain(chain[:1], [new], now)
        except LedgerError:
            continue
        older = [one for one in trusted if one != new]
        return new.public_bytes(Encoding.PEM), b"".join(one.public_bytes(Encoding.PEM) for one in [*links, *older])
    return None


def issued(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    """Tell whether the CA signed the certificate."""
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_under(certificate: bytes, ca: bytes) -> bool:
    """Tell whether the first certificate of one PEM was issued by the first of the other. False for what cannot be read."""
    try:
        return issued(load_chain(certificate)[0], load_chain(ca)[0])
    except FormatError:
        return False


def _leads(link: x509.Certificate, new: x509.Certificate, trusted: Sequence[x509.Certificate], now: float) -> bool:
    """Tell whether the link says of the CA `new` that it follows a trusted one."""
    same = link.public_key() == new.public_key() and link.subject == new.subject
    return same and issued(new, new) and any(_links(link, one, now) for one in trusted)


def _links(link: x509.Certificate, ca: x509.Certificate, now: float) -> bool:
    """Tell whether `link` is a good certificate of another CA's key, by `ca`."""
    good = link.not_valid_before_utc.timestamp() <= now <= link.not_valid_after_utc.timestamp()
    return good and link != ca and _is_ca(link) and link.public_key() != ca.public_key() and issued(link, ca)


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
