"""The words of a publish answer."""

from __future__ import annotations

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from ledger.core.backend import Placed, Refused
from ledger.core.errors import BusyError, ConflictError, UsageError
from ledger.http.call import Call
from ledger.http.server import Address, parse_address
from master.admission import Verdict
from master.publish import expected_size, verdict_line


def call(headers: dict[str, str]) -> Call:
    return Call(make_mocked_request("POST", "/v1/entries", headers=headers), "r")


@pytest.mark.parametrize(("header", "size"), [('"0"', 0), ('"12"', 12)])
def test_expected_size_reads_a_quoted_number(header: str, size: int) -> None:
    assert expected_size(call({"If-Match": header})) == size
    assert expected_size(call({})) is None


@pytest.mark.parametrize("header", ["12", '"', '""', '"-1"', '"1', '1"', "*", 'W/"1"', '"1", "2"', '"01"'])
def test_expected_size_refuses_anything_else(header: str) -> None:
    with pytest.raises(UsageError):
        expected_size(call({"If-Match": header}))


def test_verdict_line_of_a_placement() -> None:
    verdict = Verdict("id-1", Placed(4, "ab" * 32, "— receipt\n".encode()))
    line = verdict_line(verdict, "r", with_receipt=True)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert orjson.loads(line) == {"index": 4, "id": "id-1", "digest": "ab" * 32, "receipt": "— receipt\n"}
    assert "receipt" not in orjson.loads(verdict_line(verdict, "r", with_receipt=False))


@pytest.mark.parametrize(("error", "status"), [(ConflictError("two\nlines", prev="x"), 409), (BusyError("full", retry_after=2), 503)])
def test_verdict_line_of_a_refusal_is_a_problem(error: ConflictError | BusyError, status: int) -> None:
    line = verdict_line(Verdict(None, Refused(error)), "r-1", with_receipt=True)
    assert line.count(b"\n") == 1
    problem = orjson.loads(line)["error"]
    assert (problem["status"], problem["code"], problem["request_id"]) == (status, error.code, "r-1")


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8443", Address("127.0.0.1", 8443)), ("[::1]:0", Address("::1", 0)), ("localhost:1", Address("localhost", 1))],
)
def test_address_round_trips(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text
