"""Requests as routes see them: raw paths, strict queries, capped bodies."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest
from aiohttp import streams
from aiohttp.test_utils import make_mocked_request

from ledger.core.errors import UsageError
from ledger.http.call import Call, media_type, parse_number
from ledger.http.problem import Refusal


def call(target: str, method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None) -> Call:
    if body is None:
        return Call(make_mocked_request(method, target, headers=headers), "r")
    request = make_mocked_request(method, target, headers=headers)
    reader = streams.StreamReader(request.protocol, 2**16, loop=asyncio.get_running_loop())
    reader.feed_data(body)
    reader.feed_eof()
    return Call(make_mocked_request(method, target, headers=headers, payload=reader), "r")


@pytest.mark.parametrize("path", ["/tile/../checkpoint", "/tile/%2e%2e/x", "/a%2Fb", "//x", "/a;b", "/é".encode().decode("latin-1")])
def test_call_path_is_raw(path: str) -> None:
    assert call(path + "?a=1").path == path


def test_call_query_is_read_once_each() -> None:
    assert call("/x?start=1&end=2").query() == {"start": "1", "end": "2"}
    assert call("/x").query() == {}


@pytest.mark.parametrize("query", ["a=1&a=2", "a=%ff", "&".join(f"a{n}=1" for n in range(40))])
def test_call_query_that_cannot_be_trusted_is_refused(query: str) -> None:
    with pytest.raises(UsageError):
        call("/x?" + query).query()


def test_call_only_names_the_unknown_field() -> None:
    with pytest.raises(UsageError, match="'b'"):
        call("/x?a=1&b=2").only("a")


@pytest.mark.parametrize("text", ["", "-1", "+1", "01", "1e3", "\uff11", "1_0", " 1", "9" * 17, "0x1", None])
def test_parse_number_takes_plain_digits_only(text: str | None) -> None:
    with pytest.raises(UsageError):
        parse_number("n", text)


def test_parse_number_reads_numbers() -> None:
    assert [parse_number("n", text) for text in ("0", "7", "9007199254740991")] == [0, 7, 2**53 - 1]


def test_segment_decodes_once() -> None:
    one = call("/x")
    one.params = ("a%253Ab",)
    assert one.segment() == "a%3Ab"
    one.params = ("%ff",)
    with pytest.raises(UsageError):
        one.segment()


def test_media_type_drops_parameters() -> None:
    assert media_type(" Application/JSON ; charset=utf-8") == "application/json"


async def test_body_is_returned() -> None:
    one = call("/x", "POST", {"Content-Type": "application/json; charset=utf-8"}, b"{}")
    assert await one.body("application/json") == b"{}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ({}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ({"Content-Type": "application/json", "Content-Length": "11"}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    ],
)
async def test_body_is_refused_by_its_headers(headers: dict[str, str], status: HTTPStatus) -> None:
    with pytest.raises(Refusal) as caught:
        await call("/x", "POST", headers, b"12345678901").body("application/json", cap=10)
    assert caught.value.problem.status == status


async def test_body_without_length_is_capped_too() -> None:
    with pytest.raises(Refusal) as caught:
        await call("/x", "POST", {"Content-Type": "a/b"}, b"12345678901").body("a/b", cap=10)
    assert caught.value.problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
