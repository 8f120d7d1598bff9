"""Giving a member another key: one statement, signed by the old key and by the new one. What the old key signed stays true.

The new key is stored before the statement is sent, and takes the old one's place once the log has it. A stop anywhere in
between is made good by doing it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.client.authoring import Author, Wish
from ledger.client.certificates import renew_certificate
from ledger.client.place import MEMBER, SERVER
from ledger.core.errors import AuthenticationError, LedgerError, NotFoundError

if TYPE_CHECKING:
    from auth.keystore import KeyStore
    from ledger.client.client import LedgerClient
    from ledger.client.place import Place
    from ledger.core.keys import PrivateKey
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """A member with its new key. `certificate` says when its new certificate ends, None when it needed none; `problem` why it has none."""

    name: str
    id: str
    key: str
    before: str
    index: int | None
    certificate: int | None = None
    problem: LedgerError | None = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "name": self.name,
            "id": self.id,
            "key": self.key,
            "before": self.before,
            "index": self.index,
            "certificate_expires": self.certificate,
        }


async def rotate_key(client: LedgerClient, *, server: bool = False) -> Rekeyed:
    """Give the home's member another key; with `server` the member that a master is. Raises the error that refuses it.

    A certificate ends with the key that asked for it, so a home with one gets a new one at once.
    """
    keys, which = client.place.keys, SERVER if server else MEMBER
    old, new, accepted = await _pair(client.place, keys, which)
    if accepted:
        await asyncio.to_thread(keys.promote, _next(which), which)
    await client.sync()
    record = await client.reader.store.read(lambda snapshot: _owner(snapshot, new if accepted else old, which))
    if not accepted:
        record = await _publish(client, record, (old, new))
        await asyncio.to_thread(keys.promote, _next(which), which)
    ends, problem = await _certificate(client, which)
    return Rekeyed(str(record.content["name"]), record.id, new.public.text, old.public.text, record.index, ends, problem)


async def _publish(client: LedgerClient, record: Record, pair: tuple[PrivateKey, PrivateKey]) -> Record:
    """Publish the member with its new key, unless it stands so already; return its record."""
    old, new = pair
    if record.content["key"] == new.public.text:
        return record
    wish = Wish("put", "member", record.id, {**record.content, "key": new.public.text})
    result = await (await client.publisher(Author(member=old))).send(wish, record.digest, [new])
    if result.error is not None:
        raise result.error
    index = record.index if result.index is None else result.index
    return replace(record, index=index)


def _next(which: str) -> str:
    return f"{which}-next"


async def _pair(place: Place, keys: KeyStore, which: str) -> tuple[PrivateKey, PrivateKey, bool]:
    """Return the key in use, the one to come (made unless an earlier attempt left one), and whether the ledger's server knows that one."""
    if not keys.has(which):
        raise NotFoundError(f"this home holds no {which} key", advice="Do it in the home that holds it, or name that home with --home.")
    old = await asyncio.to_thread(keys.load, which)
    if not keys.has(_next(which)):
        return old, await asyncio.to_thread(keys.create, _next(which)), False
    new = await asyncio.to_thread(keys.load, _next(which))
    return old, new, not place.embedded and await _is_known(place, new)


async def _is_known(place: Place, key: PrivateKey) -> bool:
    """Tell whether the ledger's server takes the key for a member's."""
    try:
        async with await asyncio.to_thread(lambda: place.transport(signer=key)) as transport:
            await transport.token()
    except AuthenticationError:
        return False
    return True


def _owner(snapshot: Snapshot, key: PrivateKey, which: str) -> Record:
    """Return the live member to which the key is bound."""
    state = snapshot.state()
    bound = state.key(key.public.keyid)
    record = None if bound is None else state.record(bound.id)
    if record is None or not record.live or record.kind != "member":
        raise NotFoundError(f"the {which} key of this home is of no live member", advice="Ask an admin for an invite, and join anew.")
    return record


async def _certificate(client: LedgerClient, which: str) -> tuple[int | None, LedgerError | None]:
    """Replace the certificate of a home that got its own from the master. The key stands whether that succeeds or not."""
    place = client.place
    if which == SERVER or place.embedded or place.settings.role == "master" or not place.home.certificate_key_file.exists():
        return None, None
    try:
        return await renew_certificate(place), None
    except LedgerError as error:
        return None, error
