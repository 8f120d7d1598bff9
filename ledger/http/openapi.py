"""The OpenAPI 3.1 document, made from the table of routes, so that it cannot say what is not so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ledger.http.problem import PROBLEM_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.http.routes import Route

PARAMETER = re.compile(r"\{([a-z]+)\*?\}")
PROBLEM_TEXTS = ("title", "code", "detail", "request_id", "advice")


def describe(title: str, version: str, routes: Iterable[Route]) -> dict[str, object]:
    """Return the document for `routes`."""
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def operation(route: Route) -> dict[str, object]:
    """Return the operation object of one route."""
    places = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in PARAMETER.findall(route.path)]
    fields = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in route.query.items()
    ]
    found: dict[str, object] = {
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": places + fields,
        "responses": {
            str(route.status): {"description": "The answer.", "content": {route.gives: {}}},
            "default": {"description": "A problem.", "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}},
        },
    }
    if route.scopes:
        found["security"] = [{"token": list(route.scopes)}]
    if route.takes:
        found["requestBody"] = {"required": True, "content": {kind: {} for kind in route.takes}}
    return found


def operation_id(route: Route) -> str:
    """Return a name for the route that programs generated from the document can use."""
    return "_".join([route.method.lower(), *re.findall(r"[a-z0-9]+", route.path.lower())])


def problem_schema() -> dict[str, object]:
    """Return the schema of a problem document."""
    texts: dict[str, object] = {name: {"type": "string"} for name in PROBLEM_TEXTS}
    required = ["type", "title", "status", "code", "detail"]
    return {
        "type": "object",
        "required": required,
        "properties": {"type": {"type": "string", "format": "uri"}, "status": {"type": "integer"}, **texts},
    }
