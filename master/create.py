"""`create network`: the first root, its keys and certificates, and the policies every network begins with.

A new home is made beside its final place and renamed there when everything in it is written: a stop in
the middle leaves no half network.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from auth.keystore import KeyStore
from auth.pki import CertificateAuthority, encode_tls_key, make_request, new_tls_key, parse_request
from ledger.client.copy import Silent
from ledger.core.backend import Placed, Refused
from ledger.core.canonical import format_time, is_name
from ledger.core.envelope import sign
from ledger.core.errors import ConflictError, OutcomeUnknown, UnavailableError, UsageError
from ledger.core.root import Admin, LogKey, Root
from ledger.core.statement import ROOT, Statement, derive_id
from ledger.engine.genesis import create_log, new_origin
from ledger.engine.signing import SequencerKeys, clock_vkey, log_vkey
from ledger.home.backends import BackendContext, OrderingScheme, find_scheme
from ledger.home.files import create_file, sync_directory
from ledger.home.home import Home
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url
from ledger.kinds import standard_schemas

from .defaults import FRESH_FOR_SECONDS, STALE_AFTER_SECONDS, STATE_EVERY, default_permissions, permissions_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ledger.core.backend import Backend
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.envelope import Envelope
    from ledger.core.keys import PrivateKey
    from ledger.core.ports import Clock

SERVER = "master"
ADMIN = "admin"
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
HTTPS_PORT = 443
LOG_KEYS = ("log", "clock", "mark")
MARK_KEYS = ("mark",)
ADMIN_KEYS = ("admin", "member")
SERVER_KEYS = ("server", "token")


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """What the first admin decides. `hosts` go into the certificate beside the loopback names and the URL's host.

    `account` is the key file that pays where a chain orders the network. `passphrase` opens it, and protects the key files of the
    home, but not those of the CA and for TLS.
    """

    name: str
    url: str = "https://127.0.0.1:8443"
    hosts: tuple[str, ...] = ()
    public_read: bool = False
    admin_home: Path | None = None
    account: Path | None = None
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CreatedNetwork:
    """What was made. `network` is the id that nodes pin."""

    network: str
    name: str
    home: Path
    url: str
    size: int

    @property
    def served(self) -> bool:
        """Tell whether a master serves it, so that admin and log can live apart."""
        return self.url.startswith("https:")

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {"network": self.network, "name": self.name, "home": str(self.home), "url": self.url, "size": self.size}


async def create_network(home: Path, wanted: NewNetwork, clock: Clock) -> CreatedNetwork:
    """Make the network and its home. Raises UsageError or ConflictError before anything is written where it stays."""
    if not is_name(wanted.name):
        raise UsageError(f"{wanted.name!r} is no name: a-z, 0-9, then . _ - too, at most 63")
    if parse_ledger_url(wanted.url).family not in ("https", "sqlite"):
        return await _create_on_chain(home, wanted, clock)
    if wanted.account is not None:
        raise UsageError("an account pays for a ledger on a chain, and for no other", advice="Leave --account out.")
    database = _database(wanted.url)
    places = _places(home, wanted, database)
    drafts = [Home(place.path.with_name(f".{place.path.name}.{secrets.token_hex(4)}")) for place in places]
    draft_database = None if database is None else _drafted(database, places[0], drafts[0])
    try:
        for draft in drafts:
            draft.create()
        if draft_database is not None and database != draft_database:
            draft_database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        network, size = await _Founding((drafts[0], drafts[-1]), wanted, clock, draft_database).found()
        for draft, place in zip(drafts, places, strict=True):
            _settle(draft, place)
    finally:
        for draft in drafts:
            shutil.rmtree(draft.path, ignore_errors=True)
    return CreatedNetwork(network, wanted.name, places[0].path, wanted.url, size)


async def _create_on_chain(home: Path, wanted: NewNetwork, clock: Clock) -> CreatedNetwork:
    """Make a network that a chain orders: its first entries are appended before the home stands.

    OutcomeUnknown when the chain does not say whether it took them: then the home stands, and its journal knows what was sent.
    """
    url = parse_ledger_url(wanted.url)
    scheme = await asyncio.to_thread(find_scheme, url)
    if not isinstance(scheme, OrderingScheme):
        raise UsageError(f"a network cannot be created at {wanted.url}", advice="Give https://HOST:PORT or sqlite:///PATH.")
    if wanted.account is None or wanted.admin_home is not None or wanted.hosts or wanted.public_read:
        raise UsageError("a chain has neither a master nor its certificate", advice="Give --account FILE, and no other option than --url.")
    [place] = _places(home, wanted, None)
    draft = Home(place.path.with_name(f".{place.path.name}.{secrets.token_hex(4)}"))
    context = BackendContext(draft, Settings(passphrase=wanted.passphrase), clock, Silent())
    try:
        draft.create()
        await asyncio.to_thread(scheme.adopt, wanted.account, draft)
        founding = _Founding((draft, draft), wanted, clock, None, await scheme.order(url, context))
        try:
            size = await founding.found_at(lambda network: scheme.begin(url, context, network))
        except OutcomeUnknown:
            _settle(draft, place)
            raise
        _settle(draft, place)
    finally:
        shutil.rmtree(draft.path, ignore_errors=True)
    return CreatedNetwork(founding.network, wanted.name, place.path, wanted.url, size)


def _drafted(database: Path, place: Home, draft: Home) -> Path:
    """Return where to make an embedded ledger: one inside the new home moves with it, another stands at its place at once."""
    return draft.path / database.relative_to(place.path) if database.is_relative_to(place.path) else database


def _places(home: Path, wanted: NewNetwork, database: Path | None) -> list[Home]:
    """Return the homes to make: that of the log, and that of the admin if it is another."""
    if database is not None and wanted.admin_home is not None:
        raise UsageError(
            "an embedded ledger is written by the one home that holds its keys", advice="Leave --admin-home out, or give an https:// URL."
        )
    paths = [Path(os.path.normpath(path.absolute())) for path in (home, wanted.admin_home) if path is not None]
    if len(paths) > 1 and (paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])):
        raise UsageError(f"{paths[1]} and {paths[0]} are not two homes", advice="Name another directory with --admin-home.")
    places = [Home(path) for path in paths]
    for place in places:
        _require_empty(place)
    if database is not None and database.exists():
        raise ConflictError(f"{database} exists already", advice="Choose another place; nothing is ever overwritten.")
    if database is not None and not database.is_relative_to(places[0].path) and not database.parent.is_dir():
        raise UsageError(f"there is no directory {database.parent}", advice="Make it first, or put the ledger into the home.")
    return places


def _settle(draft: Home, place: Home) -> None:
    """Move a home to its place, whole; its name lasts when this returns."""
    try:
        if place.path.exists():
            place.path.rmdir()
        draft.path.rename(place.path)
    except OSError as error:
        raise UnavailableError(f"cannot move the new home to {place.path}: {error.strerror}") from error
    sync_directory(place.path.parent)


def _require_empty(home: Home) -> None:
    if home.path.exists() and (not home.path.is_dir() or any(home.path.iterdir())):
        raise ConflictError(f"{home.path} is not empty", advice="Name another directory with --home; nothing is ever overwritten.")


def _database(url: str) -> Path | None:
    """Return the file of an embedded ledger, None for one that a master serves. UsageError for what cannot be created here."""
    parsed = parse_ledger_url(url)
    if parsed.family == "sqlite":
        return Path(os.path.normpath(parsed.file()))
    if parsed.scheme != "https":
        raise UsageError(f"a network cannot be created at {url}", advice="Give https://HOST:PORT or sqlite:///PATH.")
    parsed.require_bare()
    return None


class _Founding:
    """One founding: `home` gets what a log needs, `admin_home` (the same, or another) what the admin needs."""

    def __init__(
        self,
        homes: tuple[Home, Home],
        wanted: NewNetwork,
        clock: Clock,
        database: Path | None,
        order: Mapping[str, JSON] | None = None,
    ) -> None:
        """`homes` are that of the log and that of the admin; without `order` the log is ordered by itself."""
        home, admin_home = self._home, self._admin_home = homes
        self._wanted = wanted
        self._clock = clock
        self._database = database
        self._order: Mapping[str, JSON] = {"type": "log"} if order is None else order
        self._served = database is None and order is None
        self.network = ""
        names = MARK_KEYS if order is not None else (*LOG_KEYS, *SERVER_KEYS) if self._served else LOG_KEYS
        phrase = None if wanted.passphrase is None else wanted.passphrase.encode()
        store, admin_store = KeyStore(home.keys, phrase), KeyStore(admin_home.keys, phrase)
        self._keys = {name: store.create(name) for name in names} | {name: admin_store.create(name) for name in ADMIN_KEYS}
        self._iat = format_time(int(clock.now()))

    async def found(self) -> tuple[str, int]:
        """Write everything; return the network id and the size of its log."""
        origin = new_origin(self._wanted.name)
        entries = self._entries(origin)
        if self._served:
            self._certify()
        size = await self._append(entries)
        self._configure(self.network, log_vkey(origin, self._keys["log"]))
        return self.network, size

    async def found_at(self, begin: Callable[[str], Awaitable[Backend]]) -> int:
        """Write everything, the entries to the ledger that `begin` opens for the network; return the size of its log."""
        entries = self._entries(new_origin(self._wanted.name))
        self._configure(self.network, None)
        backend = await begin(self.network)
        try:
            placed = await backend.append([one.entry for one in entries])
        finally:
            await backend.close()
        for one in placed:
            if isinstance(one, Refused):
                raise one.error
        return max(one.index for one in placed if isinstance(one, Placed)) + 1

    def _entries(self, origin: str) -> list[Envelope]:
        """Return the first entries of the network, whose id is known from then on."""
        root = self._sign(Statement("", "put", "root", "root", None, ROOT, self._iat, self._root(origin).body))
        self.network = root.statement.digest
        return [root, *self._policies(self.network)]

    def _root(self, origin: str) -> Root:
        keys = self._keys
        return Root(
            name=self._wanted.name,
            origin=origin,
            version=1,
            fold=1,
            order=dict(self._order),
            admins=(Admin(ADMIN, keys["admin"].public),),
            threshold=1,
            authority_threshold=1,
            log_keys=(LogKey(log_vkey(origin, keys["log"]), None),) if "log" in keys else (),
            clock_keys=(clock_vkey(origin, keys["clock"]),) if "clock" in keys else (),
            mark_keys=(keys["mark"].public,),
            witnesses=(),
            quorum=0,
            fresh_for=FRESH_FOR_SECONDS,
            stale_after=STALE_AFTER_SECONDS,
            state_every=STATE_EVERY,
            expires=None,
        )

    def _policies(self, network: str) -> list[Envelope]:
        """Return the statements after the root: permissions, schemas, the first members."""
        wanted: list[tuple[str, str, JSONObject, PrivateKey | None]] = []
        wanted += [("permissions", policy_id, body, None) for policy_id, body in default_permissions().items()]
        wanted += [("schema", policy_id, body, None) for policy_id, body in standard_schemas().items()]
        members = [(ADMIN, "admin", "member")] + ([(SERVER, "service", "server")] if self._served else [])
        for name, kind, key in members:
            body: JSONObject = {"name": name, "type": kind, "key": self._keys[key].public.text, "permissions": [permissions_id(kind)]}
            wanted.append(("member", derive_id("member", body), body, self._keys[key]))
        return [
            self._sign(Statement(network, "put", kind, policy_id, None, ROOT, self._iat, body), key)
            for kind, policy_id, body, key in wanted
        ]

    def _sign(self, statement: Statement, key: PrivateKey | None = None) -> Envelope:
        return sign(statement, [self._keys["admin"], *([] if key is None else [key])])

    async def _append(self, envelopes: Sequence[Envelope]) -> int:
        keys = SequencerKeys((self._keys["log"],), self._keys["clock"], self._keys["mark"])
        placed = await create_log(self._database or self._home.database, envelopes, keys, self._clock)
        return placed[-1].index + 1

    def _certify(self) -> None:
        """Make the network's CA and the master's first certificate. The common name is the master's name in the network."""
        host = urlsplit(self._wanted.url).hostname
        hosts = list(dict.fromkeys([*self._wanted.hosts, *([host] if host else []), *LOCAL_HOSTS]))
        now = self._clock.now()
        authority = CertificateAuthority.create(f"{self._wanted.name} CA"[:64], now)
        key = new_tls_key()
        issued = authority.issue(parse_request(make_request(key, SERVER, hosts)), now)
        create_file(self._home.ca_file, authority.certificate, mode=0o644)
        create_file(self._home.tls / "ca.key", authority.encode_key())
        create_file(self._home.certificate_file, issued.chain, mode=0o644)
        create_file(self._home.certificate_key_file, encode_tls_key(key))

    def _configure(self, network: str, vkey: str | None) -> None:
        served = self._served
        common: dict[str, object] = {
            "network": network,
            "ledger": self._wanted.url,
            "log_vkeys": None if vkey is None else [vkey],
            "server": SERVER if served else None,
        }
        member: dict[str, object] = {"role": "member", "name": ADMIN}
        self._home.write_config({**(self._master() if served else member), **common})
        if self._admin_home is not self._home:
            self._admin_home.write_config({**member, **common})
            shutil.copyfile(self._home.ca_file, self._admin_home.ca_file)

    def _master(self) -> dict[str, object]:
        return {"role": "master", "name": SERVER, "listen": _listen(self._wanted.url), "public_read": self._wanted.public_read}


def _listen(url: str) -> str | None:
    """Return where to listen for `url`: at its address, or where the settings say if it is a name that any interface may have."""
    host, port = parse_ledger_url(url).endpoint(HTTPS_PORT)
    if host == "localhost":
        return f"127.0.0.1:{port}"
    try:
        ip_address(host)
    except ValueError:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
