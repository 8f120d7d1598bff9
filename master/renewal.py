"""What a master renews for itself, with the key of the network's CA: its own certificate, and the CA."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from auth.pairs import replace_pair
from auth.pki import CertificateAuthority
from auth.succession import FORMER, still_good
from ledger.client.certificates import is_due
from ledger.client.ownca import CA_KEY, authority_of, issue_own, renew_own, require_authority
from ledger.home.files import write_file
from ledger.http.upkeep import Renewal

if TYPE_CHECKING:
    from ledger.core.ports import Clock
    from ledger.home.home import Home
    from ledger.http.service import World
    from master.certificates import CertificateRoutes


def rotate_ca(home: Home, clock: Clock) -> tuple[CertificateAuthority, int]:
    """Put a new CA in the place of the network's, and the master under it; return it, and when the master's certificate ends (blocking).

    Homes follow by themselves as long as the link between the two is good. Raises as `renew_own`.
    """
    old, now = require_authority(home), clock.now()
    new = CertificateAuthority.create(f"{old.name[:48].split(' #')[0]} #{secrets.token_hex(4)}", now)
    former = home.tls / FORMER
    before = still_good(former.read_bytes(), now) if former.exists() else b""
    write_file(former, old.link_to(new, now) + old.certificate + before, mode=0o644)
    replace_pair(home.ca_file, home.tls / CA_KEY, new.certificate, new.encode_key())
    current = require_authority(home)
    return current, issue_own(home, current, clock)


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
