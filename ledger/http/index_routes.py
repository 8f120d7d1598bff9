"""`/v1/indexes`: indexes of attributes of the ledger or replica that this server keeps (docs/query.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from ledger.core.errors import NotAllowedError
from ledger.core.limits import KIB
from ledger.engine.indexes import parse_change, stored_indexes
from ledger.http.access import LOCAL
from ledger.http.call import JSON_TYPE, Call, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from ledger.engine.snapshot import Snapshot
    from ledger.engine.transaction import Transaction

T = TypeVar("T")
OPERATE = "operate"


class Written(Protocol):
    """A store that is open for writing (`ledger.engine.store.Store`)."""

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot."""
        ...

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction."""
        ...


class IndexRoutes:
    """Lists the indexes, and lets programs of this machine, who hold the home's api-token, and operators change them."""

    def __init__(self, store: Written) -> None:
        self._store = store

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route("GET", "/v1/indexes", self.indexes, "The indexes of attributes.", ("read",)),
            Route("POST", "/v1/indexes", self.change, "Make or drop an index.", ("read", OPERATE), takes=(JSON_TYPE,)),
        )

    async def indexes(self, call: Call) -> web.Response:
        """Answer every index and why it is there."""
        call.only()
        return json_response(
            {"indexes": await self._store.read(lambda snapshot: [one.facts() for one in stored_indexes(snapshot.connection)])}
        )

    async def change(self, call: Call) -> web.Response:
        """Make or drop an index, and answer all there are. Publishing waits meanwhile: about a second for 100,000 policies of the kind."""
        call.only()
        if call.caller is not LOCAL and not call.caller.allows(OPERATE):
            raise NotAllowedError(f"this needs the scope {OPERATE}, or the api-token of the node's home", scope=OPERATE)
        change = parse_change(await call.body(JSON_TYPE, cap=KIB))
        await self._store.write(lambda transaction: transaction.change_indexes(change.apply))
        return json_response(
            {"indexes": await self._store.read(lambda snapshot: [one.facts() for one in stored_indexes(snapshot.connection)])}
        )
