"""What a master is built of, made from its home: keys, site, authority, head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from auth.pki import common_name, load_chain
from auth.tokens import Site
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import BusyError, UsageError
from ledger.core.note import parse_note
from ledger.home.lock import WriterLock
from ledger.http.frames import SignedHead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.engine.ports import Sequencing
    from ledger.engine.store import Store
    from ledger.home.home import Home
    from ledger.home.settings import Settings
    from ledger.http.logs import EventLog

ENDING_SECONDS = 2.0


def key_store(home: Home, settings: Settings) -> KeyStore:
    """Return the keys of the home."""
    return KeyStore(home.keys, None if settings.passphrase is None else settings.passphrase.encode())


def take_lock(home: Home, log: EventLog) -> WriterLock:
    """Return the right to write in the home (blocking).

    A master that was killed moments ago may still be ending: that is waited for, and said. Raises `BusyError` when it is held after that.
    """
    try:
        return WriterLock.take(home.lock)
    except BusyError as error:
        log.event("waiting", reason=error.message, seconds=ENDING_SECONDS)
    return WriterLock.take(home.lock, wait_seconds=ENDING_SECONDS)


def site_of(home: Home, settings: Settings, store: Store) -> Site:
    """Return the network and the server's name: its certificate's common name. Raises `UsageError` when home and log disagree."""
    stored = store.read_now(lambda snapshot: snapshot.state().network)
    if stored is None:
        raise UsageError("the log of this home has no root yet", advice="Run `ledger-cli create network` again in an empty home.")
    if settings.network is not None and settings.network != stored:
        raise UsageError(f"config.toml names network {settings.network}, the log is of {stored}")
    return Site(stored, common_name(load_chain(home.certificate_file.read_bytes())[0].subject))


async def first_head(sequencer: Sequencing, store: Store) -> SignedHead:
    """Return the head to serve first: the newest note that left, else (nothing is signed now) the stored one, else that of an empty log."""
    head = sequencer.feed.head
    if head.checkpoint is not None:
        return SignedHead(head.size, head.checkpoint)
    note = await store.read(lambda snapshot: snapshot.checkpoint())
    return SignedHead(0, b"") if note is None else SignedHead(parse_checkpoint(parse_note(note).text).size, note)


def entries_reader(store: Store) -> Callable[[int, int], Awaitable[Sequence[bytes]]]:
    """Return how the feed reads entries that it no longer holds."""

    async def read(start: int, end: int) -> Sequence[bytes]:
        return await store.read(lambda snapshot: snapshot.entries(start, end))

    return read
