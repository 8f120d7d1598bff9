"""Every refusal, ours or the transport's, is one problem document with a request id."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
import pytest

from auth.tls import client_context

if TYPE_CHECKING:
    from tests.support.masters import Network, Reply

FORM = "application/x-www-form-urlencoded"


def check_problem(reply: Reply, status: int, code: str) -> None:
    assert (reply.status, reply.json["code"]) == (status, code), reply.body
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.headers["Cache-Control"] == "no-store"
    assert {"type", "title", "status", "detail", "request_id"} <= reply.json.keys()
    assert reply.json["request_id"] == reply.headers["X-Request-Id"]
    assert reply.json["status"] == status


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/v1/policies/a/b/c", {}, 404, "not-found"),
        ("DELETE", "/v1/entries", {}, 405, "method-not-allowed"),
        ("OPTIONS", "/checkpoint", {}, 405, "method-not-allowed"),
        ("POST", "/checkpoint", {}, 405, "method-not-allowed"),
        ("GET", "/v1/entries?start=0", {}, 401, "unauthenticated"),
        ("GET", "/v1/entries?start=0", {"Authorization": "Basic YTpi"}, 401, "unauthenticated"),
        ("GET", "/v1/entries?start=0", {"Authorization": "Bearer "}, 401, "unauthenticated"),
        ("GET", "/v1/entries?start=0", {"Authorization": "Bearer x.y.z"}, 401, "unauthenticated"),
        ("GET", "/v1/entries?start=0", {"Authorization": "Bearer " + "x" * 5000}, 401, "unauthenticated"),
        ("POST", "/v1/token", {"Content-Type": "application/json"}, 415, "unsupported-media-type"),
        (
            "POST",
            "/v1/token",
            {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"},
            415,
            "unsupported-encoding",
        ),
        ("POST", "/v1/checkpoints", {"Content-Type": "text/plain"}, 400, "format"),
        ("GET", "/openapi.json?x=1", {}, 400, "usage"),
    ],
)
async def test_refusal_is_a_problem(network: Network, method: str, path: str, headers: dict[str, str], status: int, code: str) -> None:
    check_problem(await network.call(method, path, headers=headers), status, code)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/entries", 400, "usage"),
        ("/v1/entries?start=-1", 400, "usage"),
        ("/v1/entries?start=0&start=1", 400, "usage"),
        ("/v1/entries?start=5&end=5", 400, "usage"),
        ("/v1/entries?start=5&end=4", 400, "usage"),
        ("/v1/entries?start=100000", 404, "not-found"),
        ("/v1/entries?start=0&x=1", 400, "usage"),
        ("/v1/watch?start=100000", 404, "not-found"),
        ("/v1/policies?kind=no%20kind", 400, "usage"),
        ("/v1/policies?cursor=x", 400, "usage"),
        ("/v1/policies?limit=0", 400, "usage"),
        ("/v1/policies?limit=1001", 400, "usage"),
        ("/v1/policies?size=100000", 404, "not-found"),
        ("/v1/policies/nobody", 404, "not-found"),
        ("/v1/policies/nobody/history", 404, "not-found"),
        ("/v1/policies/root/history?limit=0", 400, "usage"),
        ("/v1/policies/%ff", 400, "usage"),
        ("/v1/policies/a%20b", 404, "not-found"),
        ("/v1/receipts/" + "0" * 64, 404, "not-found"),
        ("/v1/receipts/xyz", 400, "usage"),
        ("/v1/roots/7", 404, "not-found"),
        ("/v1/roots/0", 404, "not-found"),
        ("/v1/roots/x", 400, "usage"),
    ],
)
async def test_question_that_cannot_be_answered_is_a_problem(network: Network, path: str, status: int, code: str) -> None:
    check_problem(await network.get(path, who=network.admin), status, code)


async def test_scope_that_is_not_there_is_403(network: Network) -> None:
    member = await network.enrol("n1")
    check_problem(await network.get("/v1/status", who=member), 403, "not-allowed")
    await network.login(network.admin, scope="read")
    check_problem(await network.call("POST", "/v1/entries", who=network.admin), 403, "not-allowed")


async def test_body_above_the_cap_is_413(network: Network) -> None:
    headers = {"Content-Type": "application/vnd.dsse.envelope.v1+json"}
    check_problem(await network.call("POST", "/v1/entries", who=network.admin, headers=headers, body=b"x" * 300_000), 413, "too-large")
    check_problem(
        await network.call("POST", "/v1/token", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=b"a=" + b"x" * 10_000),
        413,
        "too-large",
    )


async def test_request_id_of_the_caller_comes_back(network: Network) -> None:
    reply = await network.get("/nowhere", headers={"X-Request-Id": "trace-00000001"})
    check_problem(reply, 404, "not-found")
    assert reply.headers["X-Request-Id"] == "trace-00000001"
    odd = await network.get("/healthz", headers={"X-Request-Id": "a b\tc<script>"})
    assert odd.headers["X-Request-Id"] != "a b\tc<script>"


async def raw(network: Network, sent: bytes) -> bytes:
    parts = urlsplit(network.url)
    context = client_context(await asyncio.to_thread(network.home.ca_file.read_bytes))
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"what is this\r\n\r\n",
        b"GET /checkpoint HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/entries HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/entries HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_request_get_a_problem_and_the_connection_ends(network: Network, sent: bytes) -> None:
    answer = await raw(network, sent)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"application/problem+json" in head
    assert orjson.loads(body)["code"] == "bad-request"


@pytest.mark.parametrize("target", ["/tile/../checkpoint", "/./checkpoint", "//checkpoint", "/%63heckpoint", "/checkpoint/."])
async def test_path_is_taken_as_it_is(network: Network, target: str) -> None:
    answer = await raw(network, f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 40"), answer[:100]
    assert b"ledger.internal" not in answer


async def test_absolute_target_is_the_same_route(network: Network) -> None:
    answer = await raw(network, b"GET https://elsewhere/checkpoint HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")


async def test_header_that_is_no_text_is_no_token(network: Network) -> None:
    answer = await raw(network, b"GET /v1/policies HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in {b"400", b"401"}
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["code"] in {"bad-request", "unauthenticated"}
