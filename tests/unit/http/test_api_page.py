"""`docs/http-api.md` and the OpenAPI document say what is served: every route with its scopes, every error with its status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ledger.core import errors
from ledger.core.errors import HTTP_STATUS, LedgerError, lookup
from ledger.http.health import HealthRoutes
from ledger.http.index_routes import IndexRoutes
from ledger.http.log_routes import LogRoutes, Sharing
from ledger.http.openapi import describe
from ledger.http.query_routes import QueryRoutes
from ledger.http.routes import Route, RouteTable
from ledger.http.state_routes import StateRoutes
from ledger.http.token_routes import TokenRoutes
from master.certificates import CertificateRoutes
from master.forks import ForkRoutes
from master.publish import PublishRoutes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "http-api.md"
ROW = re.compile(r"^\| `(GET|POST) (\S+)` \| ([a-z, ]+) \| (both|master) \|", re.MULTILINE)
STATUS = re.compile(r"^\| (\d{3}) \| (.+) \|$", re.MULTILINE)


def every_route() -> tuple[Route, ...]:
    """Return the routes of a private master; what answers them is not asked."""
    nothing: Any = None
    return (
        *LogRoutes(nothing, nothing, Sharing(public=False), nothing, nothing).routes(),
        *QueryRoutes(nothing, nothing, nothing).routes(),
        *IndexRoutes(nothing, nothing).routes(),
        *StateRoutes(nothing, nothing, Sharing(public=False)).routes(),
        *TokenRoutes(nothing, nothing, nothing, nothing).routes(),
        *PublishRoutes(nothing).routes(),
        *ForkRoutes(nothing, nothing, nothing).routes(),
        *(route for route in certificate_routes() if route.path.startswith("/v1/")),
        *HealthRoutes(nothing, lambda: ()).routes(),
    )


def certificate_routes() -> tuple[Route, ...]:
    bare = CertificateRoutes.__new__(CertificateRoutes)
    return bare.routes()


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def plain(path: str) -> str:
    return path.replace("*}", "}")


def test_page_lists_every_route_with_its_scopes(page: str) -> None:
    listed = {(method, path): set(scopes.split(", ")) for method, path, scopes, _ in ROW.findall(page)}
    served = {(route.method, plain(route.path)): set(route.scopes or ("none",)) for route in every_route()}
    assert listed.pop(("GET", "/metrics")) == {"none"}
    assert listed == served


def test_openapi_lists_every_route_with_its_scopes() -> None:
    paths: Any = describe("t", "1", every_route())["paths"]
    said = {(method.upper(), path): operation.get("security") for path, found in paths.items() for method, operation in found.items()}
    assert said == {(route.method, plain(route.path)): [{"token": list(route.scopes)}] if route.scopes else None for route in every_route()}


def test_no_two_routes_answer_one_request() -> None:
    table = RouteTable(every_route())
    for route in table.routes:
        found, _ = table.resolve(route.method, re.sub(r"\{[a-z]+\*?\}", "x", route.path))
        assert found is route


def test_page_lists_every_error_with_its_status(page: str) -> None:
    listed = {code: int(status) for status, codes in STATUS.findall(page) for code in re.findall(r"`([a-z-]+)`", codes)}
    classes = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, LedgerError)]
    expected = {cls.code: lookup(HTTP_STATUS, cls) for cls in classes}
    transport = {"bad-request", "method-not-allowed", "timeout", "unsupported-media-type", "unsupported-encoding"}
    assert {code: status for code, status in listed.items() if code not in transport} == expected
    assert transport <= listed.keys()
