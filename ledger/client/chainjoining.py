"""Joining a network that a chain orders: no server lets anybody in, and none is asked.

The log is read from the chain and verified from the pinned network id. Reading needs no more than that id and the ledger's URL, both
public. A member's statement is an entry like any other: whoever may append pays for it, the joiner or a member who submits it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.client.answers import Joined
from ledger.client.authoring import Author
from ledger.client.client import LedgerClient
from ledger.client.joining import invite_of, is_member, make_home, member_key, member_of, member_statement
from ledger.client.place import Place
from ledger.core.errors import ConflictError, NotAllowedError, NotFoundError, UsageError
from ledger.home.backends import OrderingScheme, find_scheme
from ledger.home.clock import SystemClock
from ledger.home.settings import load_settings
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from auth.join import JoinToken
    from ledger.client.sync import Progress
    from ledger.core.envelope import Envelope
    from ledger.core.keys import PrivateKey
    from ledger.core.ports import Clock
    from ledger.home.home import Home

NO_ACCOUNT = "Name an account's key file with --account, or write the statement to a file with --out for a member to submit."


@dataclass(frozen=True, slots=True)
class Way:
    """How a member's statement gets to the chain.

    Paid by `account`, a key file of which the home takes a copy (None: the home's own), or handed to `hand_out`, for a member to submit.
    """

    account: Path | None = None
    hand_out: Callable[[Envelope], None] | None = None


async def join_on_chain(
    path: Path, token: JoinToken, way: Way, *, clock: Clock | None = None, progress: Progress | None = None
) -> Joined | None:
    """Join with a token in an empty home; None when the statement was handed out and has to be submitted before the join goes on.

    Raises UsageError (a home in use, no account), NotAllowedError (the invite is gone or over), and what reading and writing the chain
    raise. A join that stopped is taken up again with the same token.
    """
    place = await asyncio.to_thread(_placed, path, token.ledger, token.url, clock or SystemClock())
    if way.account is not None:
        await asyncio.to_thread(_adopt, place, way.account)
    key = await asyncio.to_thread(member_key, place.home)
    async with LedgerClient(place) as client:
        await client.sync(progress)
        store = client.copy.store
        if not await store.read(lambda snapshot: is_member(snapshot, key)):
            entry = await _statement(client, token, key)
            if way.hand_out is not None:
                await asyncio.to_thread(way.hand_out, entry)
                return None
            await _append(client, entry, token)
        member = await store.read(lambda snapshot: member_of(snapshot, key))
        size = await client.copy.size()
    name, kind = str(member.content["name"]), str(member.content["type"])
    await _settle(place.home, role="node" if kind == "node" else "member", name=name, network=token.ledger, ledger=token.url)
    return Joined(token.ledger, name, str(path), size)


async def follow_on_chain(
    path: Path, network: str, ledger: str, account: Path | None = None, *, progress: Progress | None = None
) -> Joined:
    """Make an empty home a reader of a network on a chain, ordered or mirrored there, once its log was verified from the id `network`.

    It has no key and is no member; `account` is who it is on a chain that does not let everybody read. Raises UsageError for a home in
    use or a ledger that is not on a chain, and what reading it raises.
    """
    place = await asyncio.to_thread(_placed, path, network, ledger, SystemClock())
    if account is not None:
        await asyncio.to_thread(_adopt, place, account)
    async with LedgerClient(place) as client:
        size = (await client.sync(progress)).size
    await _settle(place.home, role="member", network=network, ledger=ledger)
    return Joined(network, None, str(path), size)


def _placed(path: Path, network: str, ledger: str, clock: Clock) -> Place:
    url = parse_ledger_url(ledger)
    if not url.on_chain:
        raise UsageError("a server lets in by a token alone", advice="Ask an admin for one: ledger-cli create invite NAME.")
    home = make_home(path)
    return Place(home, replace(load_settings(path, {}), network=network, ledger=ledger), url, clock)


def _adopt(place: Place, account: Path) -> None:
    scheme = find_scheme(place.url)
    if not isinstance(scheme, OrderingScheme):
        raise UsageError(f"nobody pays for what is written to {place.url.text}", advice="Leave --account out.")
    try:
        scheme.adopt(account, place.home)
    except ConflictError as error:
        raise UsageError("this home has an account already, from a join that stopped", advice="Leave --account out.") from error


async def _statement(client: LedgerClient, token: JoinToken, key: PrivateKey) -> Envelope:
    invite = await client.copy.store.read(lambda snapshot: invite_of(snapshot, token.key))
    return member_statement(token, invite, key, client.place.clock)


async def _append(client: LedgerClient, entry: Envelope, token: JoinToken) -> None:
    publisher = await client.publisher(Author(member=token.key))
    try:
        results = [result async for result in publisher.hand_in([entry])]
    except NotFoundError as error:
        raise NotFoundError(f"nobody here pays for the entry: {error.message}", advice=NO_ACCOUNT) from error
    for result in results:
        if isinstance(result.error, NotAllowedError):
            raise NotAllowedError("the invite was used, revoked or has expired", advice="Ask an admin for a new one.") from result.error
        if result.error is not None:
            raise result.error


async def _settle(home: Home, **config: str) -> None:
    await asyncio.to_thread(home.write_config, config)
