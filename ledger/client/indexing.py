"""Indexes of the copy that this home reads: listed, made, dropped; while a server keeps the copy, by asking that."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import orjson

from ledger.client.transport import Transport
from ledger.core.errors import BusyError, UsageError
from ledger.engine.indexes import IndexChange, stored_indexes
from ledger.engine.opening import open_in_thread
from ledger.engine.queries import search
from ledger.engine.sizes import size_at
from ledger.engine.store import Store
from ledger.home.files import read_text
from ledger.home.lock import read_holder
from ledger.query import parse_get
from ledger.query.answer import looked_up
from ledger.query.outline import outline

if TYPE_CHECKING:
    from ledger.client.copy import Copy
    from ledger.engine.queries import Search

ROUTE = "/v1/indexes"


async def list_indexes(copy: Copy) -> list[dict[str, object]]:
    """Return what is known of each index, sorted by kind and attribute."""
    return [stored.facts() for stored in await copy.store.read(lambda snapshot: stored_indexes(snapshot.connection))]


async def change_index(copy: Copy, change: IndexChange) -> None:
    """Make or drop an index. ConflictError, NotFoundError or UsageError when that makes no sense; BusyError when another command writes."""
    if copy.place.foreign:
        raise UsageError("an index is made in a home, for its own copy", advice="Leave --ledger out.")
    try:
        writer = await open_in_thread(partial(Store.open, copy.place.database))
    except BusyError:
        await _ask_server(copy, change)
        return
    try:
        await writer.write(lambda transaction: transaction.change_indexes(change.apply))
    finally:
        await asyncio.to_thread(writer.close)


async def _ask_server(copy: Copy, change: IndexChange) -> None:
    """Ask whoever keeps the copy: an agent with the token of this machine, a master as the member of this home."""
    place = copy.place
    holder = await asyncio.to_thread(read_holder, place.home.lock)
    if place.is_master:
        server = await asyncio.to_thread(lambda: place.transport(scope="operate"))
    elif holder is not None and holder.address is not None:
        token = (await asyncio.to_thread(read_text, place.home.api_token)).strip()
        server = Transport(holder.address, context=await asyncio.to_thread(place.tls), bearer=token)
    else:
        raise BusyError("another command writes to this home")
    async with server:
        await server.post(ROUTE, orjson.dumps(change.facts()), "application/json")


async def explain_query(copy: Copy, kind: str, clause: str, *, now: int, at: int | str | None) -> dict[str, object]:
    """Return how a query would be answered (`Search.explain`), and what is done `then`, without doing so.

    UsageError for one that is not understood.
    """
    query = parse_get(kind, clause)

    def work(asked: Search) -> dict[str, object]:
        asked.as_of(size_at(asked.snapshot, at))
        scans = [asked.plan(second.query.kinds, looked_up(second)) is None for second in query.seconds]
        return {**asked.explain(query.kinds, query.where), "then": outline(query, scans)}

    return await search(copy.store, work, now=now)
