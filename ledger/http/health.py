"""Liveness, readiness, status, and the description of the API itself.

`/healthz` says that the process answers. `/readyz` says whether it does its work, and in one line why not; nothing that an
outsider may not know. `/v1/status` says everything, to those with the scope `operate`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from ledger.http.call import JSON_TYPE, Call, json_response
from ledger.http.openapi import describe
from ledger.http.routes import Route

if TYPE_CHECKING:
    from aiohttp import web

Status = Callable[[], Awaitable[Mapping[str, object]]]
Readiness = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Service:
    """What a service says of itself. `unready` gives the reason while it does not do its work, else None."""

    title: str
    version: str
    unready: Readiness
    status: Status


class HealthRoutes:
    """Serves health; `routes_of` gives the whole table for `/openapi.json`."""

    def __init__(self, service: Service, routes_of: Callable[[], tuple[Route, ...]]) -> None:
        self._service = service
        self._routes_of = routes_of

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route("GET", "/healthz", self.live, "The process answers."),
            Route("GET", "/readyz", self.ready, "The service does its work; 503 with the reason while it does not.", also={503: JSON_TYPE}),
            Route(
                "GET",
                "/v1/status",
                self.status,
                "Condition of the service: its log, its processes, and the policies that break rules of their kinds.",
                ("operate",),
            ),
            Route("GET", "/openapi.json", self.openapi, "This description (OpenAPI 3.1)."),
        )

    async def live(self, _call: Call) -> web.Response:
        """Answer that the process is alive."""
        return json_response({"alive": True})

    async def ready(self, _call: Call) -> web.Response:
        """Answer whether the service does its work."""
        reason = self._service.unready()
        if reason is None:
            return json_response({"ready": True})
        return json_response({"ready": False, "reason": reason}, status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def status(self, call: Call) -> web.Response:
        """Answer the condition of the service."""
        call.only()
        return json_response(await self._service.status())

    async def openapi(self, call: Call) -> web.Response:
        """Answer the description of the API."""
        call.only()
        return json_response(describe(self._service.title, self._service.version, self._routes_of()), cache="no-cache")
