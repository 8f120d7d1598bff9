"""The table of routes: one place that the dispatcher, the OpenAPI document and the tests read.

A path is literal text, `{name}` for one segment, or a last `{name*}` for one segment or more. The table answers
which route a request means and, when none does, whether the path exists with another method.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from ledger.http.problem import Refusal

if TYPE_CHECKING:
    from aiohttp import web

    from ledger.http.call import Call

Answer = Callable[["Call"], Awaitable["web.StreamResponse"]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path. `scopes`: any one of them is enough; none at all means that no token is asked for.

    `also`: other good answers, by status, with their media types (empty: no body).
    """

    method: str
    path: str
    answer: Answer
    summary: str
    scopes: tuple[str, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()
    gives: str = "application/json"
    status: int = 200
    also: Mapping[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the route's name in metrics and logs: it has no part of the request in it."""
        return f"{self.method} {self.path}"


class RouteTable:
    """Routes by method and path."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._literal: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[tuple[str, ...], dict[str, Route]]] = []
        for route in self.routes:
            methods = self._methods_at(route.path)
            if route.method in methods:
                raise ValueError(f"two routes for {route.name}")
            methods[route.method] = route

    def _methods_at(self, path: str) -> dict[str, Route]:
        if "{" not in path:
            return self._literal.setdefault(path, {})
        pattern = tuple(path.split("/"))
        for known, methods in self._patterns:
            if known == pattern:
                return methods
        methods = {}
        self._patterns.append((pattern, methods))
        return methods

    def resolve(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """Return the route and its path parameters (raw). Raises `Refusal` 404 or 405; HEAD goes where GET goes."""
        methods = self._literal.get(path)
        params: tuple[str, ...] = ()
        if methods is None:
            methods, params = self._match(path)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
            text = f"this path answers to {allowed}"
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", text, headers={"Allow": allowed})
        return route, params

    def _match(self, path: str) -> tuple[dict[str, Route], tuple[str, ...]]:
        segments = path.split("/")
        for pattern, methods in self._patterns:
            params = match_segments(pattern, segments)
            if params is not None:
                return methods, params
        raise Refusal(HTTPStatus.NOT_FOUND, "not-found", "there is no such route")


def match_segments(pattern: tuple[str, ...], segments: list[str]) -> tuple[str, ...] | None:
    """Return the parameters when `segments` fit `pattern`, else None. A parameter is never empty."""
    rest = pattern[-1].endswith("*}")
    if (len(segments) < len(pattern)) if rest else (len(segments) != len(pattern)):
        return None
    params: list[str] = []
    for position, part in enumerate(pattern):
        if not part.startswith("{"):
            if part != segments[position]:
                return None
            continue
        value = "/".join(segments[position:]) if rest and position == len(pattern) - 1 else segments[position]
        if not value:
            return None
        params.append(value)
    return tuple(params)
