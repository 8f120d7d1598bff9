"""The route table: what resolves, what does not, and that the OpenAPI document says the same."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from ledger.http.openapi import describe
from ledger.http.problem import Refusal
from ledger.http.routes import Route, RouteTable

if TYPE_CHECKING:
    from ledger.http.call import Call


async def nothing(_call: Call) -> web.Response:
    return web.Response()


ROUTES = (
    Route("GET", "/checkpoint", nothing, "a"),
    Route("GET", "/tile/{path*}", nothing, "b", ("read",)),
    Route("GET", "/v1/entries", nothing, "c", ("read",), query={"start": "first"}),
    Route("POST", "/v1/entries", nothing, "d", ("write", "join"), takes=("application/jsonl",), status=201),
    Route("GET", "/v1/policies/{id}", nothing, "e", ("read",)),
    Route("GET", "/v1/policies/{id}/history", nothing, "f", ("read",)),
)


@pytest.fixture
def table() -> RouteTable:
    return RouteTable(ROUTES)


@pytest.mark.parametrize(
    ("method", "path", "name", "params"),
    [
        ("GET", "/checkpoint", "GET /checkpoint", ()),
        ("HEAD", "/checkpoint", "GET /checkpoint", ()),
        ("GET", "/tile/0/000", "GET /tile/{path*}", ("0/000",)),
        ("GET", "/tile/0/x001/234.p/5", "GET /tile/{path*}", ("0/x001/234.p/5",)),
        ("POST", "/v1/entries", "POST /v1/entries", ()),
        ("GET", "/v1/policies/a", "GET /v1/policies/{id}", ("a",)),
        ("GET", "/v1/policies/a/history", "GET /v1/policies/{id}/history", ("a",)),
    ],
)
def test_resolve_finds_route_and_parameters(table: RouteTable, method: str, path: str, name: str, params: tuple[str, ...]) -> None:
    route, found = table.resolve(method, path)
    assert route.name == name
    assert found == params


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/checkpoint/",
        "//checkpoint",
        "/Checkpoint",
        "/tile",
        "/tile/",
        "/v1/policies/",
        "/v1/policies//history",
        "/v1/policies/a/b",
    ],
)
def test_resolve_unknown_path_is_404(table: RouteTable, path: str) -> None:
    with pytest.raises(Refusal) as caught:
        table.resolve("GET", path)
    assert caught.value.problem.status == HTTPStatus.NOT_FOUND


def test_resolve_other_method_is_405_with_allow(table: RouteTable) -> None:
    with pytest.raises(Refusal) as caught:
        table.resolve("DELETE", "/v1/entries")
    assert caught.value.problem.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert caught.value.problem.headers["Allow"] == "GET, HEAD, POST"


def test_table_refuses_two_answers_to_one_request() -> None:
    with pytest.raises(ValueError, match="two routes"):
        RouteTable([*ROUTES, Route("GET", "/v1/policies/{id}", nothing, "again")])


def test_openapi_has_every_route_with_its_scopes_and_bodies() -> None:
    document = describe("t", "1", ROUTES)
    paths = document["paths"]
    assert isinstance(paths, dict)
    operations = {(method.upper(), path): operation for path, methods in paths.items() for method, operation in methods.items()}
    assert set(operations) == {(route.method, route.path.replace("*}", "}")) for route in ROUTES}
    publish = operations["POST", "/v1/entries"]
    assert publish["security"] == [{"token": ["write", "join"]}]
    assert set(publish["requestBody"]["content"]) == {"application/jsonl"}
    assert "201" in publish["responses"]
    assert "security" not in operations["GET", "/checkpoint"]
    assert len({operation["operationId"] for operation in operations.values()}) == len(ROUTES)
