"""`/v1/indexes`: indexes of attributes of the ledger or replica that this server keeps (docs/query.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ledger.core.errors import NotAllowedError
from ledger.core.limits import KIB
from ledger.engine.indexes import IndexChange, parse_change, stored_indexes
from ledger.http.access import LOCAL
from ledger.http.call import JSON_TYPE, Call, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from aiohttp import web

    from ledger.http.log_routes import Reads

OPERATE = "operate"


Change = Callable[[IndexChange], Awaitable[None]]


class IndexRoutes:
    """Lists the indexes, and lets programs of this machine, who hold the home's api-token, and operators change them."""

    def __init__(self, reads: Reads, change: Change) -> None:
        """Take what reads the database, and what has an index in it changed."""
        self._reads = reads
        self._change = change

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route("GET", "/v1/indexes", self.indexes, "The indexes of attributes.", ("read",)),
            Route("POST", "/v1/indexes", self.change, "Make or drop an index.", ("read", OPERATE), takes=(JSON_TYPE,)),
        )

    async def indexes(self, call: Call) -> web.Response:
        """Answer every index and why it is there."""
        call.only()
        return await self._answer()

    async def change(self, call: Call) -> web.Response:
        """Make or drop an index, and answer all there are. Publishing waits meanwhile: about a second for 100,000 policies of the kind."""
        call.only()
        if call.caller is not LOCAL and not call.caller.allows(OPERATE):
            raise NotAllowedError(f"this needs the scope {OPERATE}, or the api-token of the node's home", scope=OPERATE)
        change = parse_change(await call.body(JSON_TYPE, cap=KIB))
        await self._change(change)
        return await self._answer()

    async def _answer(self) -> web.Response:
        return json_response(
            {"indexes": await self._reads.read(lambda snapshot: [one.facts() for one in stored_indexes(snapshot.connection)])}
        )
