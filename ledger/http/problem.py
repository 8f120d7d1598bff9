"""Errors on the wire: one shape, RFC 9457 `application/problem+json`, for everything that goes wrong.

Domain errors are translated by `ledger.core.errors.HTTP_STATUS`; what only HTTP knows (no such route, wrong
method, a body too large for the transport) is a `Refusal`, made here so that both have the same members:
`type, title, status, code, detail, request_id`, and where they help `advice` and the facts of the error beside them.
An exception that is none of ours becomes a 500 that says nothing about its cause: the log has it.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from ledger.core.errors import HTTP_STATUS, AuthenticationError, BusyError, ForkRiskError, LedgerError, UnavailableError, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http import HTTPStatus

PROBLEM_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:metaledger:problem:"
RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Problem:
    """What is told about one error. `headers` go out with it; `context` holds JSON values and no secret."""

    status: int
    code: str
    detail: str
    advice: str | None = None
    context: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def document(self, request_id: str | None) -> dict[str, object]:
        """Return the members of the problem document."""
        members: dict[str, object] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.code.replace("-", " ").capitalize(),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if request_id is not None:
            members["request_id"] = request_id
        if self.advice:
            members["advice"] = self.advice
        return {**self.context, **members}


class Refusal(Exception):  # noqa: N818 - an answer of the transport, not a domain error
    """A request that HTTP itself refuses; carries the problem to answer with."""

    def __init__(self, status: HTTPStatus, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(int(status), code, detail, headers=headers or {})


def jittered(seconds: float) -> str:
    """Return a Retry-After of at least `seconds`, spread over half as much again, so that clients do not return together."""
    return str(max(1, math.ceil(seconds * (1 + secrets.randbelow(501) / 1000))))


def problem_of(error: BaseException) -> Problem:
    """Return the problem for any exception; foreign ones give a bare 500."""
    if isinstance(error, Refusal):
        return error.problem
    if isinstance(error, LedgerError):
        return Problem(
            status=lookup(HTTP_STATUS, error),
            code=error.code,
            detail=error.message,
            advice=error.hint,
            context=error.context,
            headers=_headers_for(error),
        )
    return Problem(500, "internal", "Something broke here. The service's log has it under this request id.")


def _headers_for(error: LedgerError) -> dict[str, str]:
    if isinstance(error, AuthenticationError):
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    if isinstance(error, BusyError):
        return {"Retry-After": jittered(error.retry_after)}
    if isinstance(error, UnavailableError | ForkRiskError):
        return {"Retry-After": jittered(RETRY_SECONDS)}
    return {}


def encode(problem: Problem, request_id: str | None) -> bytes:
    """Return the document as bytes; a context that is no JSON is shown as text."""
    return orjson.dumps(problem.document(request_id), default=str)


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """Return the answer for `problem`: never cached, whatever the route says of its good answers."""
    headers = {
        "Content-Type": PROBLEM_TYPE,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
        **problem.headers,
    }
    return web.Response(status=problem.status, body=encode(problem, request_id), headers=headers)
