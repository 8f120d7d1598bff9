"""Where a client works: a home, its settings, its keys, and the ledger URL that counts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from auth.keystore import KeyStore
from ledger.client.authoring import Author
from ledger.client.https import HttpsBackend
from ledger.client.moving import Moving, read_moved
from ledger.client.revocations import read_list
from ledger.client.transport import Transport
from ledger.core.errors import NotFoundError, UsageError
from ledger.home.clock import SystemClock
from ledger.home.files import write_file
from ledger.home.home import Home
from ledger.home.settings import find_home, read_settings
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from ledger.core.keys import PrivateKey
    from ledger.core.ports import Clock
    from ledger.home.settings import Settings
    from ledger.home.url import LedgerUrl

MEMBER = "member"
ADMIN = "admin"
SERVER = "server"
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class KeyAssertions:
    """Buys tokens with one key. The key id stands for the name, so a joiner needs no name yet."""

    signer: PrivateKey
    network: str
    clock: Clock
    scope: str = ""

    def assertion(self, server: str) -> str:
        """Return a fresh single-use assertion for that server."""
        from auth.assertions import make_assertion  # noqa: PLC0415 - what asks no server need not load JWT
        from auth.tokens import Site  # noqa: PLC0415 - as above

        return make_assertion(self.signer.public.keyid, self.signer, Site(self.network, server), self.clock.now())


class HomeAssertions:
    """Buys tokens with the member key that lies in the home at that moment: one that was replaced is taken up without a restart."""

    def __init__(self, place: Place, key: PrivateKey, scope: str = "") -> None:
        self.scope = scope
        self._place = place
        self._key = key
        self._seen = self._look()

    def assertion(self, server: str) -> str:
        """Return a fresh single-use assertion for that server."""
        seen = self._look()
        if seen != self._seen:
            self._key, self._seen = self._place.key(MEMBER, SERVER) or self._key, seen
        place = self._place
        return KeyAssertions(self._key, place.network, place.clock, self.scope).assertion(server)

    def _look(self) -> list[tuple[int, int]]:
        paths = [self._place.home.key_file(name) for name in (MEMBER, SERVER)]
        return [(found.st_ino, found.st_mtime_ns) for found in (path.stat() for path in paths if path.exists())]


@dataclass(frozen=True, slots=True)
class Place:
    """A home as a client sees it: `settings.ledger` is the home's own ledger, `url` the one that counts, `foreign` if they differ."""

    home: Home
    settings: Settings
    url: LedgerUrl
    clock: Clock
    foreign: bool = False
    warnings: tuple[str, ...] = ()

    @classmethod
    def find(cls, home: Path | None = None, ledger: str | None = None, *, clock: Clock | None = None) -> Place:
        """Read the home. Raises NotFoundError when there is neither an identity nor a ledger that needs none."""
        own = Home(find_home(home))
        reading = read_settings(own.path, {} if ledger is None else {"ledger": ledger})
        wanted = reading.settings.ledger
        if wanted is None:
            own.require()
            raise UsageError(f"{own.config} names no ledger", advice="Give --ledger URL.")
        url = parse_ledger_url(wanted)
        if url.family != "sqlite":
            own.require()
        pinned = own.read_config().get("ledger")
        settings = replace(reading.settings, ledger=pinned if isinstance(pinned, str) else None)
        return cls(own, settings, url, clock or SystemClock(), foreign=wanted != pinned, warnings=reading.warnings).at_present()

    def at_present(self) -> Place:
        """Return this place with the URL where the home's own ledger is now (blocking): its master may have moved."""
        moved = None if self.foreign or self.is_master else read_moved(self.home, self.settings.ledger)
        if moved is None:
            return self
        return replace(self, settings=replace(self.settings, ledger=moved.url), url=parse_ledger_url(moved.url))

    @property
    def caveat(self) -> str | None:
        """Return what is taken on trust here, for people; None when everything that is read was verified."""
        if not (self.foreign and self.embedded):
            return None
        return f"{self.database} is read as it stands; `ledger-cli verify ledger --ledger {self.url.text}` computes it again"

    @property
    def network(self) -> str:
        """Return the pinned network id. NotFoundError in a home that pins none."""
        if self.settings.network is None:
            raise NotFoundError(f"{self.home.path} pins no network", advice="Join a network first.")
        return self.settings.network

    @property
    def embedded(self) -> bool:
        """Tell whether the ledger is a file of this machine."""
        return self.url.family == "sqlite"

    @property
    def is_master(self) -> bool:
        """Tell whether this is the home of the master itself: its database is the log, not a replica."""
        return self.settings.role == "master" and not self.foreign

    @property
    def database(self) -> Path:
        """Return the file that holds the log or the verified replica."""
        return self.url.file() if self.embedded else self.home.database

    @property
    def keys(self) -> KeyStore:
        """Return the private keys of this home."""
        phrase = self.settings.passphrase
        return KeyStore(self.home.keys, None if phrase is None else phrase.encode())

    def key(self, *names: str) -> PrivateKey | None:
        """Return the first of these keys that this home holds."""
        store = self.keys
        return next((store.load(name) for name in names if store.has(name)), None)

    def author(self) -> Author:
        """Return who signs for this home."""
        return Author(member=self.key(MEMBER), admin=self.key(ADMIN))

    def transport(self, *, url: str | None = None, signer: PrivateKey | None = None, ca: bytes | None = None, scope: str = "") -> Transport:
        """Return a transport to the ledger's server; anonymous in a home without keys."""
        present = self.at_present()
        base = url or present.url.text
        own = None if signer is not None else self.key(MEMBER, SERVER)
        assertions: KeyAssertions | HomeAssertions | None = None if own is None else HomeAssertions(self, own, scope)
        if signer is not None:
            assertions = KeyAssertions(signer, self.network, self.clock, scope)
        is_own = urlsplit(base).netloc == urlsplit(present.settings.ledger or "").netloc
        transport = Transport(base, context=self.tls(ca), assertions=assertions, expected=self.settings.server if is_own else None)
        transport.follow = partial(self.follow_ca, base)
        transport.revoked = read_list(self.home, self.trusted()).serials
        if is_own and not self.foreign and not self.is_master:
            transport.moved = lambda: Moving(self).find(transport.base)
        return transport

    def tls(self, ca: bytes | None = None) -> ssl.SSLContext:
        """Return the context that trusts the network's CA, as pinned here; the system's CAs where none is pinned."""
        from auth.tls import client_context  # noqa: PLC0415 - 0.1 s that what asks no server need not pay

        return client_context(self.trusted() if ca is None else ca)

    def trusted(self) -> bytes | None:
        """Return the CAs that are pinned here (PEM), None where none is."""
        if not self.home.ca_file.exists():
            return None
        from auth.succession import FORMER, anchors  # noqa: PLC0415 - as in tls

        former = self.home.tls / FORMER
        return anchors(self.home.ca_file.read_bytes(), former.read_bytes() if former.exists() else b"", self.clock.now())

    async def follow_ca(self, url: str) -> ssl.SSLContext | None:
        """Pin the CA that followed the pinned one, if the server at `url` shows that. Return the context that trusts what is pinned then.

        That is another one than the caller had, too, when somebody else of this home followed first. None where no CA is pinned.
        """
        if not await asyncio.to_thread(self.home.ca_file.exists):
            return None
        from auth.succession import FORMER  # noqa: PLC0415 - as in tls
        from auth.tls import find_successor  # noqa: PLC0415 - as in tls

        parts = urlsplit(url)
        before = await asyncio.to_thread(self.home.ca_file.read_bytes)
        found = await find_successor((parts.hostname or "", parts.port or HTTPS_PORT), before, self.clock.now())
        if found is not None:
            await asyncio.to_thread(write_file, self.home.tls / FORMER, found[1], mode=0o644)  # first: it takes nothing away
            await asyncio.to_thread(write_file, self.home.ca_file, found[0], mode=0o644)
        return await asyncio.to_thread(self.tls)

    def https(self, url: str | None = None) -> HttpsBackend:
        """Return the HTTPS backend of this home's ledger, or of another URL of the same log."""
        return HttpsBackend(self.transport(url=url))
