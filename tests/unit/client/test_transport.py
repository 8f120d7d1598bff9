"""What a hostile or broken server answers becomes a domain error, whatever it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import zstandard

from ledger.client.bodies import CAP, Reply, inflate
from ledger.client.https import result_of
from ledger.client.transport import error_from_problem, parse_object, problem_error
from ledger.client.wire import proxy_for
from ledger.core.backend import Refused
from ledger.core.errors import BusyError, ConflictError, FormatError, LedgerError, TooLargeError, UnavailableError

PROBLEMS: list[dict[str, Any]] = [
    {"self": 1},
    {"code": "conflict", "cls": 1, "self": 2, "operation": 3},
    {"code": "busy", "retry_after": "x"},
    {"code": "outcome-unknown", "operation": [1]},
    {"code": [1], "detail": {"a": 1}, "advice": [1]},
    {"context": 1, "hint": 2, "args": 3, "__class__": 4},
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_any_problem_document_is_a_domain_error(problem: dict[str, Any]) -> None:
    assert isinstance(error_from_problem(problem, 400), LedgerError)


def test_facts_of_a_problem_are_context_and_nothing_else() -> None:
    error = error_from_problem({"code": "conflict", "detail": "no", "advice": "sync", "self": 1, "message": "x", "size": 7}, 409)
    assert isinstance(error, ConflictError)
    assert (error.message, error.hint, dict(error.context)) == ("no", "sync", {"self": 1, "size": 7})


@pytest.mark.parametrize("status", ["abc", [1], None, {}, True])
def test_line_of_a_bulk_answer_may_have_any_status(status: object) -> None:
    result = result_of({"error": {"status": status, "detail": "no"}})
    assert isinstance(result, Refused)
    assert result.error.message == "no"


BODIES = [b"", b"[]", b"NaN", b'"x"', b"\xff", b"[" * 100_000, b'{"a":' * 10_000, b'{"a":"\\ud800"}', b'{"a":Infinity}']


@pytest.mark.parametrize("body", BODIES)
def test_body_that_is_no_object_is_a_format_error(body: bytes) -> None:
    with pytest.raises(FormatError):
        parse_object(body)
    assert isinstance(problem_error(Reply(503, {}, body)), UnavailableError)


@pytest.mark.parametrize(("text", "seconds"), [("3", 3.0), ("nan", 0.0), ("-5", 0.0), ("1e999", 60.0), ("soon", 1.0), (None, 1.0)])
def test_waiting_time_is_bounded(text: str | None, seconds: float) -> None:
    headers = {} if text is None else {"retry-after": text}
    error = problem_error(Reply(503, headers, orjson.dumps({"code": "busy"})))
    assert isinstance(error, BusyError)
    assert error.retry_after == seconds


def test_proxy_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    assert proxy_for("https://ledger.test:8443") == "http://proxy.test:3128"
    monkeypatch.setenv("NO_PROXY", "ledger.test")
    assert proxy_for("https://ledger.test:8443") is None


def test_packed_answer_is_unpacked_up_to_the_limit_and_no_further() -> None:
    pack = zstandard.ZstdCompressor(level=1).compress
    assert inflate(pack(b"entries" * 1_000)) == b"entries" * 1_000
    assert len(inflate(pack(bytes(CAP)))) == CAP
    with pytest.raises(TooLargeError):
        inflate(pack(bytes(CAP + 1)))
    with pytest.raises(TooLargeError):
        inflate(pack(bytes(64 * 1024 * 1024)))


@pytest.mark.parametrize("raw", [b"junk", b"\x28\xb5\x2f\xfd" + b"\xff" * 40])
def test_packed_answer_that_does_not_hold_is_a_format_error(raw: bytes) -> None:
    with pytest.raises(FormatError):
        inflate(raw)
