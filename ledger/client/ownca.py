"""A CA whose key lies in the home: a master's, which is the network's, and that of a node whom no master certifies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth.pairs import replace_pair, settle_pair
from auth.pki import CertificateAuthority, CertificateRequest, encode_tls_key, new_tls_key
from auth.succession import FORMER
from ledger.client.certificates import present_names
from ledger.core.errors import NotFoundError, UnavailableError
from ledger.home.files import create_file, read_private_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.ports import Clock
    from ledger.home.home import Home

CA_KEY = "ca.key"


def authority_of(home: Home) -> CertificateAuthority | None:
    """Return the CA of a home (blocking), None when its key is kept elsewhere."""
    settle_pair(home.ca_file, home.tls / CA_KEY)
    try:
        key = read_private_file(home.tls / CA_KEY)
    except NotFoundError:
        return None
    former = home.tls / FORMER
    return CertificateAuthority.load(home.ca_file.read_bytes(), key, former.read_bytes() if former.exists() else b"")


def require_authority(home: Home) -> CertificateAuthority:
    """Return the CA of a home (blocking). UnavailableError when its key is kept elsewhere."""
    authority = authority_of(home)
    if authority is None:
        advice = "Put tls/ca.key there, or do it where it is kept."
        raise UnavailableError(f"{home.path} does not hold the key of the network's CA", advice=advice)
    return authority


def certify_alone(home: Home, name: str, hosts: Sequence[str], clock: Clock) -> None:
    """Make a CA of this home alone and a first certificate for `name` at `hosts` (blocking): where no master certifies anybody.

    Whoever is to reach the server gets `tls/ca.pem` from its operator. ConflictError when a CA is pinned already.
    """
    now = clock.now()
    authority = CertificateAuthority.create(f"{name} CA"[:64], now)
    key = new_tls_key()
    issued = authority.issue(CertificateRequest(name, tuple(hosts), key.public_key()), now)
    create_file(home.ca_file, authority.certificate, mode=0o644)
    create_file(home.tls / CA_KEY, authority.encode_key())
    replace_pair(home.certificate_file, home.certificate_key_file, issued.chain, encode_tls_key(key))


def issue_own(home: Home, authority: CertificateAuthority, clock: Clock, more: Sequence[str] = ()) -> int:
    """Issue and put into its place a certificate like the present one, for `more` hosts too; return when it ends (blocking)."""
    name, hosts = present_names(home)
    key = new_tls_key()
    request = CertificateRequest(name, tuple(dict.fromkeys([*hosts, *more])), key.public_key())
    issued = authority.issue(request, clock.now())
    replace_pair(home.certificate_file, home.certificate_key_file, issued.chain, encode_tls_key(key))
    return issued.expires


def renew_own(home: Home, clock: Clock, more: Sequence[str] = ()) -> int:
    """Replace the home's certificate by one of a new TLS key, for the same hosts and `more`; return when it ends (blocking).

    Raises UnavailableError when the CA's key is kept elsewhere.
    """
    return issue_own(home, require_authority(home), clock, more)
