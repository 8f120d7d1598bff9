"""`POST /v1/sync`: one verified step now, for `ledger-cli sync` in the home of a running agent, and for operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import NotAllowedError
from ledger.core.limits import KIB
from ledger.http.access import LOCAL
from ledger.http.call import JSON_TYPE, Call, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from aiohttp import web

    from ledger.node.following import Following

OPERATE = "operate"


class SyncRoute:
    """Lets programs of this machine, who hold the home's api-token, and operators start a step."""

    def __init__(self, following: Following) -> None:
        self._following = following

    def routes(self) -> tuple[Route, ...]:
        """Return the route."""
        scopes = ("read", OPERATE)
        return (Route("POST", "/v1/sync", self.sync, "One verified sync step, now; answers what it fetched.", scopes, takes=(JSON_TYPE,)),)

    async def sync(self, call: Call) -> web.Response:
        """Answer what one step brought. Other members may not: each call makes this node ask its source."""
        call.only()
        await call.body(JSON_TYPE, cap=KIB)
        if call.caller is not LOCAL and not call.caller.allows(OPERATE):
            raise NotAllowedError(f"this needs the scope {OPERATE}, or the api-token of the node's home", scope=OPERATE)
        report = await self._following.sync_now()
        return json_response(report.facts())
