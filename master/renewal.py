"""What a master renews for itself, with the key of the network's CA: its own certificate, and the CA."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from auth.pairs import replace_pair
from auth.pki import CertificateAuthority, CertificateRequest, encode_tls_key, new_tls_key
from auth.succession import FORMER, still_good
from ledger.client.certificates import is_due, present_names
from ledger.core.errors import UnavailableError
from ledger.home.files import write_file
from ledger.http.upkeep import Renewal
from master.parts import CA_KEY, authority_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.ports import Clock
    from ledger.home.home import Home
    from ledger.http.service import World
    from master.certificates import CertificateRoutes


def renew_own(home: Home, clock: Clock, more: Sequence[str] = ()) -> int:
    """Replace the master's certificate by one of a new TLS key, for the same hosts and `more`; return when it ends (blocking).

    Raises UnavailableError when the CA's key is kept elsewhere.
    """
    return issue_own(home, _authority(home), clock, more)


def _authority(home: Home) -> CertificateAuthority:
    authority = authority_of(home)
    if authority is None:
        advice = "Put tls/ca.key there, or do it where it is kept."
        raise UnavailableError(f"{home.path} does not hold the key of the network's CA", advice=advice)
    return authority


def rotate_ca(home: Home, clock: Clock) -> tuple[CertificateAuthority, int]:
    """Put a new CA in the place of the network's, and the master under it; return it, and when the master's certificate ends (blocking).

    Homes follow by themselves as long as the link between the two is good. Raises as `renew_own`.
    """
    old, now = _authority(home), clock.now()
    new = CertificateAuthority.create(f"{old.name[:48].split(' #')[0]} #{secrets.token_hex(4)}", now)
    former = home.tls / FORMER
    before = still_good(former.read_bytes(), now) if former.exists() else b""
    write_file(former, old.link_to(new, now) + old.certificate + before, mode=0o644)
    replace_pair(home.ca_file, home.tls / CA_KEY, new.certificate, new.encode_key())
    current = _authority(home)
    return current, issue_own(home, current, clock)


def issue_own(home: Home, authority: CertificateAuthority, clock: Clock, more: Sequence[str] = ()) -> int:
    """Issue and put into its place a certificate like the present one; return when it ends (blocking)."""
    name, hosts = present_names(home)
    key = new_tls_key()
    request = CertificateRequest(name, tuple(dict.fromkeys([*hosts, *more])), key.public_key())
    issued = authority.issue(request, clock.now())
    replace_pair(home.certificate_file, home.certificate_key_file, issued.chain, encode_tls_key(key))
    return issued.expires


def renewal_of(home: Home, clock: Clock) -> Renewal:
    """Return how a running master renews its certificate. Without the CA's key it is never due: somebody else has to bring one."""

    def due() -> bool:
        return (home.tls / CA_KEY).exists() and is_due(home, clock.now())

    async def renew() -> None:
        await asyncio.to_thread(renew_own, home, clock)

    return Renewal(due, renew)


class AuthorityChore:
    """Lets a running master certify with the CA that lies in its home now."""

    def __init__(self, home: Home, routes: CertificateRoutes, world: World) -> None:
        self._home = home
        self._routes = routes
        self._world = world
        self._seen = self._look()

    async def __call__(self) -> None:
        """Look once. Raises what is wrong with the files; the CA before is used on."""
        seen = await asyncio.to_thread(self._look)
        if seen == self._seen:
            return
        self._routes.authority = await asyncio.to_thread(authority_of, self._home)
        self._seen = seen
        self._world.log.event("authority-loaded", held=self._routes.authority is not None)

    def _look(self) -> list[tuple[str, int, int]]:
        paths = [path for path in (self._home.ca_file, self._home.tls / CA_KEY, self._home.tls / FORMER) if path.exists()]
        return [(path.name, status.st_ino, status.st_mtime_ns) for path, status in ((path, path.stat()) for path in paths)]
