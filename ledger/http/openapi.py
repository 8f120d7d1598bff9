"""The OpenAPI 3.1 document, made from the table of routes, so that it cannot say what is not so."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS
from ledger.http.problem import PROBLEM_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.http.routes import Route

PARAMETER = re.compile(r"\{([a-z]+)\*?\}")
NUMBERS = frozenset({"start", "end", "size", "limit", "n"})
FORMS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "application/x-www-form-urlencoded": {
            "type": "object",
            "required": ["grant_type", "assertion"],
            "properties": {
                **{name: {"type": "string"} for name in ("grant_type", "assertion", "scope")},
                "expires_in": {"type": "integer", "minimum": 1, "maximum": LIMITS.access_token_seconds},
            },
            "additionalProperties": False,
        },
        "application/vnd.dsse.envelope.v1+json": {
            "type": "object",
            "required": ["payloadType", "payload", "signatures"],
            "properties": {
                "payloadType": {"type": "string"},
                "payload": {"type": "string", "contentEncoding": "base64"},
                "signatures": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["keyid", "sig"],
                        "properties": {"keyid": {"type": "string"}, "sig": {"type": "string", "contentEncoding": "base64"}},
                    },
                },
            },
        },
    }
)
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
    places = [{"name": name, "in": "path", "required": True, "schema": schema_of(name)} for name in PARAMETER.findall(route.path)]
    fields = [
        {"name": name, "in": "query", "required": False, "description": text, "schema": schema_of(name)}
        for name, text in route.query.items()
    ]
    found: dict[str, object] = {
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": places + fields,
        "responses": {
            **{str(status): answer(kind) for status, kind in {route.status: route.gives, **route.also}.items()},
            "default": {"description": "A problem.", "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}},
        },
    }
    if route.scopes:
        found["security"] = [{"token": list(route.scopes)}]
    if route.takes:
        found["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": FORMS.get(kind, {"type": "string"})} for kind in route.takes},
        }
    return found


def schema_of(name: str) -> dict[str, object]:
    """Return the schema of a parameter; one name means one thing on every route."""
    if name in NUMBERS:
        return {"type": "integer", "minimum": 0, "maximum": LIMITS.number}
    if name == "digest":
        return {"type": "string", "pattern": "^[0-9a-f]{64}$"}
    return {"type": "string"}


def answer(kind: str) -> dict[str, object]:
    """Return the response object of a good answer of this media type; none has no body."""
    return {"description": "The answer.", "content": {kind: {}}} if kind else {"description": "Nothing changed."}


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
