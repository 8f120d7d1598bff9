"""Joining: from one line of text to a home whose key the network knows and whose log is verified.

Nothing about a join token is stored but the invite policy. The joiner is in when its member statement is live in a log
that was verified from the network id in the token. A join that stops half way is taken up again with the same token.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from auth.join import JoinToken, parse_join_token
from auth.keystore import KeyStore
from auth.tls import client_context, pin_ca
from ledger.client.answers import Joined
from ledger.client.authoring import Wish, bind, seal
from ledger.client.certificates import obtain_certificate
from ledger.client.https import HttpsBackend
from ledger.client.place import MEMBER, KeyAssertions
from ledger.client.sync import Syncer
from ledger.client.transport import Transport
from ledger.core.backend import Refused
from ledger.core.canonical import format_time
from ledger.core.errors import AuthenticationError, LedgerError, NotAllowedError, NotFoundError, OutcomeUnknown, UsageError
from ledger.core.statement import derive_id
from ledger.engine.replica import Replica
from ledger.engine.signing import placed_roots
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.files import write_file
from ledger.home.home import Home
from ledger.home.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.client.sync import Progress
    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.core.keys import PrivateKey
    from ledger.core.ports import Clock
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
HTTPS_PORT = 443
# What a join that stopped half way leaves in a home, and what file systems put into an empty directory.
LEFTOVERS = frozenset(
    {"keys", "tls", "evidence", "ledger.db", "ledger.db-shm", "ledger.db-wal", "lock", "head.json", "lost+found", "chains"}
    | {f"journal.db{suffix}" for suffix in ("", "-shm", "-wal")}
)


async def join_home(
    path: Path, line: str, *, clock: Clock | None = None, hosts: tuple[str, ...] = (), progress: Progress | None = None
) -> Joined:
    """Join with the token in `line`, in an empty home. `hosts`: more names for the certificate.

    Raises FormatError (no token), UsageError (a home in use, a token of a network without a master: `chainjoining` takes these),
    VerificationError (not the network's CA), NotAllowedError (the invite is gone or over), and what the sync raises.
    """
    token = parse_join_token(line)
    if not token.url.startswith("https:"):
        raise UsageError("this network has no master that lets anybody in: a chain orders it", advice="Join with `ledger-cli join`.")
    home = await asyncio.to_thread(make_home, path)
    return await _Joining(home, token, clock or SystemClock(), hosts).join(progress)


def make_home(path: Path) -> Home:
    """Return the directories of a new home, or of one in which an earlier join stopped (blocking). UsageError for one in use."""
    refuse_strange(path)
    home = Home(path)
    home.create()
    return home


def refuse_strange(path: Path) -> None:
    """Raise UsageError when the directory holds what no home holds; what an earlier join left there is used."""
    strange = sorted(one.name for one in path.iterdir() if one.name not in LEFTOVERS) if path.is_dir() else []
    if strange and not Home(path).exists:
        raise UsageError(f"{path} is not empty: it holds {strange[0]}", advice="Name another directory with --home.")


class _Joining:
    """One join. Each step can be done again: keys that are there are used, a member that is live is not made anew."""

    def __init__(self, home: Home, token: JoinToken, clock: Clock, hosts: tuple[str, ...]) -> None:
        self._home = home
        self._token = token
        self._clock = clock
        self._hosts = hosts

    async def join(self, progress: Progress | None) -> Joined:
        """Do the steps in order."""
        ca = await self._pin()
        key = await asyncio.to_thread(member_key, self._home)
        store = await asyncio.to_thread(self._store)
        replica = Replica(store, self._token.ledger)
        try:
            syncer = Syncer(replica, clock=self._clock, evidence=self._home.evidence)
            await syncer.load()
            member, server = await self._enter(syncer, ca, key, progress)
            roots = await store.read(lambda snapshot: placed_roots(snapshot.connection))
            vkeys = [listed.vkey for listed in roots[-1].root.log_keys]
            size = (await syncer.head()).size
        finally:
            await asyncio.to_thread(replica.close)
            await asyncio.to_thread(store.close)
        name, kind = str(member.content["name"]), str(member.content["type"])
        config = {"role": "node" if kind == "node" else "member", "name": name, "network": self._token.ledger, "ledger": self._token.url}
        await asyncio.to_thread(self._home.write_config, {**config, "server": server, "log_vkeys": vkeys})
        return Joined(self._token.ledger, name, str(self._home.path), size)

    async def _pin(self) -> bytes | None:
        """Look at the server's chain, pick the CA of the token out of it, and keep it."""
        if self._token.ca is None:
            return None
        url = urlsplit(self._token.url)
        ca = await pin_ca(url.hostname or "", url.port or HTTPS_PORT, self._token.ca, self._clock.now())
        await asyncio.to_thread(write_file, self._home.ca_file, ca, mode=0o644)
        return ca

    def _store(self) -> Store:
        return Store.open(self._home.database, create=not self._home.database.exists())

    async def _enter(self, syncer: Syncer, ca: bytes | None, key: PrivateKey, progress: Progress | None) -> tuple[Record, str | None]:
        """Publish the member statement unless it stands already; get the certificate; end with a sync that shows the member live."""
        context = client_context(ca)
        assertions = KeyAssertions(self._token.key, self._token.ledger, self._clock)
        invited = Transport(self._token.url, context=context, assertions=assertions)
        refusal: LedgerError | None = None
        async with invited:
            try:
                source = HttpsBackend(invited)
                await syncer.step(source, self._token.url, progress=progress)
                if not await syncer.replica.store.read(lambda snapshot: is_member(snapshot, key)):
                    await self._become_member(syncer, source, key)
            except (AuthenticationError, OutcomeUnknown) as error:
                # The invite is spent: by this very key, when an earlier join stopped half way or an answer was lost; the next step tells.
                refusal = error
        own = Transport(self._token.url, context=context, assertions=KeyAssertions(key, self._token.ledger, self._clock))
        async with own:
            try:
                await syncer.step(HttpsBackend(own), self._token.url)
                member = await syncer.replica.store.read(lambda snapshot: member_of(snapshot, key))
            except (AuthenticationError, NotFoundError) as error:
                if isinstance(refusal, OutcomeUnknown):
                    raise refusal from error
                if isinstance(error, NotFoundError):
                    raise
                why = "it let one in already" if refusal is None else refusal.message
                advice = "Ask an admin for a new one."
                raise NotAllowedError(f"the invite was used, revoked or has expired ({why})", advice=advice) from error
            hosts = list(dict.fromkeys([*self._hosts, *LOCAL_HOSTS]))
            await obtain_certificate(own, self._home, str(member.content["name"]), hosts)
            return member, own.server

    async def _become_member(self, syncer: Syncer, source: HttpsBackend, key: PrivateKey) -> None:
        invite = await syncer.replica.store.read(lambda snapshot: invite_of(snapshot, self._token.key))
        entry = member_statement(self._token, invite, key, self._clock).entry
        (answer,) = await source.append([entry])
        if isinstance(answer, Refused):
            raise answer.error


def member_key(home: Home) -> PrivateKey:
    """Return the member's key of a home, made if it is not there (blocking)."""
    phrase = load_settings(home.path, {}).passphrase
    store = KeyStore(home.keys, None if phrase is None else phrase.encode())
    return store.load(MEMBER) if store.has(MEMBER) else store.create(MEMBER)


def member_statement(token: JoinToken, invite: Record, key: PrivateKey, clock: Clock) -> Envelope:
    """Return the statement by which an invite lets a key in, signed by both."""
    body: JSONObject = {
        **{name: invite.content[name] for name in ("name", "type", "permissions")},
        "key": key.public.text,
        "invite": invite.id,
    }
    wish = Wish("put", "member", derive_id("member", body), body)
    statement = bind(wish, ledger=token.ledger, prev=None, by=token.key.public.keyid, iat=format_time(int(clock.now())))
    return seal(statement, [token.key, key])


def invite_of(snapshot: Snapshot, key: PrivateKey) -> Record:
    """Return the live invite of that key. NotAllowedError when there is none."""
    record = _live_record(snapshot, key, "invite")
    if record is None:
        raise NotAllowedError("the invite was used or revoked", advice="Ask an admin for a new one.")
    return record


def is_member(snapshot: Snapshot, key: PrivateKey) -> bool:
    """Tell whether the key is a live member's: an earlier join with the same token came that far."""
    return _live_record(snapshot, key, "member") is not None


def member_of(snapshot: Snapshot, key: PrivateKey) -> Record:
    """Return the live member of that key. NotFoundError when the log that was verified does not show it."""
    record = _live_record(snapshot, key, "member")
    if record is None:
        raise NotFoundError("the verified log does not show this member", advice="Join again with the same token.")
    return record


def _live_record(snapshot: Snapshot, key: PrivateKey, kind: str) -> Record | None:
    """Return the live record of that kind to which the key is bound."""
    state = snapshot.state()
    bound = state.key(key.public.keyid)
    record = None if bound is None else state.record(bound.id)
    return record if record is not None and record.live and record.kind == kind else None
