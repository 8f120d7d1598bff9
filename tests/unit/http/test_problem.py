"""Every error class becomes a problem document of one shape, with the status of the one table."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
import pytest

from ledger.core import errors
from ledger.core.errors import HTTP_STATUS, AuthenticationError, BusyError, ConflictError, LedgerError, OutcomeUnknown, lookup
from ledger.http.problem import PROBLEM_TYPE, Refusal, jittered, problem_of, problem_response

if TYPE_CHECKING:
    from collections.abc import Iterator


def every_class(root: type[LedgerError] = LedgerError) -> Iterator[type[LedgerError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from every_class(child)


def make(cls: type[LedgerError]) -> LedgerError:
    return cls("what happened", operation="op-1") if issubclass(cls, OutcomeUnknown) else cls("what happened")


@pytest.mark.parametrize("cls", list(dict.fromkeys(every_class())))
def test_problem_of_every_error_class_has_its_status_and_shape(cls: type[LedgerError]) -> None:
    response = problem_response(problem_of(make(cls)), "rid-12345")

    assert response.status == lookup(HTTP_STATUS, cls)
    assert response.headers["Content-Type"] == PROBLEM_TYPE
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-Id"] == "rid-12345"
    assert isinstance(response.body, bytes)
    document = orjson.loads(response.body)
    assert {"type", "title", "status", "code", "detail", "request_id"} <= document.keys()
    assert document["status"] == response.status
    assert document["code"] == cls.code
    assert document["detail"] == "what happened"
    assert document["type"] == f"urn:metaledger:problem:{cls.code}"
    assert document["request_id"] == "rid-12345"
    assert document["advice"] == cls.advice


def test_problem_context_stands_beside_the_members_and_never_replaces_one() -> None:
    error = ConflictError("taken", size=7, status="no", other=object())
    document = orjson.loads(problem_response(problem_of(error), "r").body or b"")  # type: ignore[arg-type] # it is bytes
    assert document["size"] == 7
    assert document["status"] == HTTPStatus.CONFLICT
    assert isinstance(document["other"], str)


def test_problem_of_foreign_exception_tells_nothing_of_it() -> None:
    problem = problem_of(ValueError("secret path /home/me/key"))
    assert problem.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert "secret" not in str(problem.document("r"))


def test_problem_of_refusal_keeps_status_and_headers() -> None:
    problem = problem_of(Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "method-not-allowed", "no", headers={"Allow": "GET"}))
    assert problem.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert problem.headers["Allow"] == "GET"


def test_problem_of_missing_token_asks_for_a_bearer() -> None:
    assert problem_of(AuthenticationError("who?")).headers["WWW-Authenticate"].startswith("Bearer")


def test_problem_of_busy_says_when_to_return() -> None:
    assert int(problem_of(BusyError("full", retry_after=4.0)).headers["Retry-After"]) >= 4


def test_jittered_spreads_and_never_comes_early() -> None:
    seen = {int(jittered(100)) for _ in range(200)}
    assert min(seen) >= 100
    assert max(seen) <= 150
    assert len(seen) > 10
