"""The log over HTTPS: a stranger with the origin's keys can check everything from these routes alone."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import zstandard

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.merkle import Frontier, leaf_hash
from ledger.core.note import parse_note
from ledger.core.tiles import unframe
from tests.support.masters import trusting

if TYPE_CHECKING:
    from tests.support.masters import Network


async def grow(network: Network, count: int) -> None:
    for number in range(count):
        reply = await network.publish(network.put("site", {"name": f"site-{number}", "note": "x" * 200}))
        assert reply.status == 201, reply.body


async def test_checkpoint_is_the_root_of_the_entries(network: Network) -> None:
    await grow(network, 5)
    checkpoint = parse_checkpoint(parse_note((await network.get("/checkpoint")).body).text)
    framed = await network.get(f"/v1/entries?start=0&end={checkpoint.size}", who=network.admin)
    entries = unframe(framed.body)
    tree = Frontier()
    for entry in entries:
        tree.append(leaf_hash(entry))
    assert len(entries) == checkpoint.size
    assert tree.root() == checkpoint.root


async def test_tiles_are_the_hashes_and_bundles_of_the_entries(network: Network) -> None:
    await grow(network, 3)
    size = parse_checkpoint(parse_note((await network.get("/checkpoint")).body).text).size
    tile = await network.get(f"/tile/0/000.p/{size}", who=network.admin)
    bundle = await network.get(f"/tile/entries/000.p/{size}", who=network.admin)
    entries = unframe(bundle.body)
    assert tile.body == b"".join(map(leaf_hash, entries))
    assert len(entries) == size
    smaller = await network.get(f"/tile/entries/000.p/{size - 1}", who=network.admin)
    assert unframe(smaller.body) == entries[:-1]


@pytest.mark.parametrize(
    "path",
    [
        "/tile/0/000",
        "/tile/0/000.p/999",
        "/tile/0/000.p/0",
        "/tile/0/000.p/05",
        "/tile/0/000.p/256",
        "/tile/1/000.p/1",
        "/tile/0/001.p/1",
        "/tile/0/0",
        "/tile/00/000.p/1",
        "/tile/64/000.p/1",
        "/tile/-1/000.p/1",
        "/tile/0/x000/000.p/1",
        "/tile/0/000.p/1/",
        "/tile/0//000.p/1",
        "/tile/0/000.p/1%20",
        "/tile/entries/000.p/1/../2",
        "/tile/entries/000",
        "/tile/Entries/000.p/1",
        "/tile/0/%30%30%30.p/1",
        "/tile/0/99999999999999999999",
    ],
)
async def test_tile_that_is_none_is_404_and_not_kept(network: Network, path: str) -> None:
    reply = await network.get(path, who=network.admin)
    assert (reply.status, reply.json["code"]) == (404, "not-found")
    assert reply.headers["Cache-Control"] == "no-store"


async def test_idle_poll_is_one_small_304(network: Network) -> None:
    first = await network.get("/checkpoint")
    again = await network.get("/checkpoint", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-cache"
    listed = await network.get("/checkpoint", headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
    assert listed.status == 304
    await grow(network, 1)
    moved = await network.get("/checkpoint", headers={"If-None-Match": first.headers["ETag"]})
    assert moved.status == 200


async def test_idle_poll_costs_at_most_400_bytes_on_the_wire(network: Network) -> None:
    etag = (await network.get("/checkpoint")).headers["ETag"]
    parts = urlsplit(network.url)
    context = await asyncio.to_thread(trusting, network.home)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context)
    request = f"GET /checkpoint HTTP/1.1\r\nHost: {parts.netloc}\r\nIf-None-Match: {etag}\r\n\r\n".encode()
    answers = []
    for _ in range(3):
        writer.write(request)
        answers.append(await reader.readuntil(b"\r\n\r\n"))
    writer.close()
    await writer.wait_closed()
    tls = 5 + 1 + 16  # header, content type and tag of one TLS 1.3 record
    assert all(answer.startswith(b"HTTP/1.1 304") for answer in answers)
    assert max(len(request) + len(answer) + 2 * tls for answer in answers) <= 400


async def test_private_log_needs_a_token_and_stays_private(network: Network) -> None:
    for path in ("/tile/0/000.p/1", "/tile/entries/000.p/1", "/v1/entries?start=0", "/v1/watch"):
        assert (await network.get(path)).status == 401
    reply = await network.get("/tile/0/000.p/1", who=network.admin)
    assert reply.headers["Cache-Control"] == "private, max-age=31536000, immutable"


async def test_public_log_is_open_and_kept_by_everyone(public_network: Network) -> None:
    for path in ("/tile/0/000.p/1", "/tile/entries/000.p/1", "/v1/entries?start=0&end=1"):
        reply = await public_network.get(path)
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (await public_network.get("/v1/policies")).status == 401


async def test_entries_answer_what_is_there_and_say_whether_it_lasts(network: Network) -> None:
    size = parse_checkpoint(parse_note((await network.get("/checkpoint")).body).text).size
    whole = await network.get(f"/v1/entries?start=0&end={size}", who=network.admin)
    longer = await network.get(f"/v1/entries?start=2&end={size + 50}", who=network.admin)
    open_end = await network.get("/v1/entries?start=2", who=network.admin)
    assert unframe(longer.body) == unframe(open_end.body) == unframe(whole.body)[2:]
    assert "immutable" in whole.headers["Cache-Control"]
    assert longer.headers["Cache-Control"] == open_end.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("accepts", "coding"), [("zstd, gzip", "zstd"), ("gzip", "gzip"), ("gzip;q=1, zstd;q=0", "gzip"), ("br", None)])
async def test_entries_come_compressed_to_who_asks(network: Network, accepts: str, coding: str | None) -> None:
    plain = (await network.get("/v1/entries?start=0", who=network.admin)).body
    reply = await network.get("/v1/entries?start=0", who=network.admin, headers={"Accept-Encoding": accepts})
    assert reply.headers.get("Content-Encoding") == coding
    assert reply.headers["Vary"] == "Accept-Encoding"
    unpack = {"zstd": lambda raw: zstandard.ZstdDecompressor().decompress(raw, 10_000_000), "gzip": gzip.decompress}
    assert (unpack[coding](reply.body) if coding else reply.body) == plain
    assert coding is None or len(reply.body) < len(plain)


async def test_head_answers_like_get_without_a_body(network: Network) -> None:
    get, head = await network.get("/checkpoint"), await network.call("HEAD", "/checkpoint")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.body))
    assert head.headers["ETag"] == get.headers["ETag"]


async def test_root_is_answered_to_everyone(network: Network) -> None:
    reply = await network.get("/v1/roots/1")
    entry = unframe((await network.get("/v1/entries?start=0&end=1", who=network.admin)).body)[0]
    assert reply.body == entry
    assert reply.headers["Content-Type"] == "application/vnd.dsse.envelope.v1+json"
