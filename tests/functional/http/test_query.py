"""The query language over HTTPS: whole queries, in the URL and in the body; refusals that point at the place."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import orjson
import pytest

from tests.functional.http.test_publish import publish_lines

if TYPE_CHECKING:
    from tests.support.masters import Network, Reply


@pytest.fixture
async def asked(network: Network) -> Network:
    lines = [network.put("pump", {"name": f"p{n}", "port": n, "tags": ["even"] if n % 2 == 0 else []}).entry for n in range(30)]
    assert (await publish_lines(network, lines)).status == 200
    return network


async def get(network: Network, query: str, more: str = "") -> Reply:
    return await network.get(f"/v1/policies?q={quote(query)}{more}", who=network.admin)


async def post(network: Network, **body: object) -> Reply:
    headers = {"Content-Type": "application/json"}
    return await network.call("POST", "/v1/query", who=network.admin, body=orjson.dumps(body), headers=headers)


def names(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [policy["pump"]["name"] for policy in reply.json["policies"]]


async def test_one_query_has_one_answer_however_it_is_asked(asked: Network) -> None:
    where = "port > 3 and port < 100 and tags = even"
    wanted = [f"p{n}" for n in range(4, 30, 2)]
    assert names(await get(asked, f"pump where {where}")) == wanted
    assert names(await asked.get(f"/v1/policies?kind=pump&where={quote(where)}", who=asked.admin)) == wanted
    assert names(await asked.get(f"/v1/policies?where={quote('[pump][port] = 7')}", who=asked.admin)) == ["p7"]
    assert names(await post(asked, query=f"pump where {where}")) == wanted
    assert names(await get(asked, "pump order by port desc limit 3")) == ["p29", "p28", "p27"]


async def test_what_is_brought_stands_in_its_own_member(asked: Network) -> None:
    reply = await get(asked, "pump where port < 3 bring.json [name] [port]")
    assert reply.json["brought"] == [{"name": f"p{n}", "port": n} for n in range(3)]
    assert "policies" not in reply.json
    assert (await post(asked, query="pump bring.count")).json["brought"] == 30


async def test_pages_of_a_sorted_query_keep_their_size(asked: Network) -> None:
    seen: list[str] = []
    body: dict[str, object] = {"query": "pump where port >= 10 order by port desc", "limit": 7}
    while True:
        reply = await post(asked, **body)
        seen += names(reply)
        await asked.publish(asked.put("pump", {"name": f"new {len(seen)}", "port": 15}))
        if reply.json["next"] is None:
            break
        body["cursor"] = reply.json["next"]
    assert seen == [f"p{n}" for n in range(29, 9, -1)]


async def test_a_past_size_is_asked_by_number_or_time(asked: Network) -> None:
    size = (await get(asked, "pump")).json["size"]
    await asked.publish(asked.put("pump", {"name": "late", "port": 7}))
    assert len(names(await get(asked, "pump where port = 7"))) == 2
    assert names(await get(asked, "pump where port = 7", f"&at={size}")) == ["p7"]
    assert names(await post(asked, query="pump where port = 7", at=size)) == ["p7"]
    assert (await get(asked, "pump", "&at=1999-01-01T00:00:00Z")).status in {400, 404}
    assert (await get(asked, "pump", "&at=yesterday")).status == 400
    assert (await get(asked, "pump", f"&at={size}&size={size}")).status == 400


@pytest.mark.parametrize(
    ("query", "column"),
    [("pump where port >", 18), ("pump where", 11), ("pump where a = 1 xor b = 2", 18), ("", 1), ("pump where a = 'x", 16)],
)
async def test_a_query_that_is_not_understood_is_refused_at_its_column(network: Network, query: str, column: int) -> None:
    for reply in (await get(network, query), await post(network, query=query)):
        assert (reply.status, reply.json["code"], reply.json["column"]) == (400, "usage", column)


NO_BODIES = (
    *(b"", b"{", b"[]", b"{}", b'{"query":1}', b'{"query":"all","x":1}', b'{"query":"all","limit":0}', b'{"query":"all","limit":true}'),
    *(b'{"query":"all","at":1.5}', b'{"query":"all","at":true}', b'{"query":"all","cursor":7}', b'{"query":"all","cursor":"x"}'),
)


@pytest.mark.parametrize("body", NO_BODIES)
async def test_a_body_that_is_no_request_is_refused(network: Network, body: bytes) -> None:
    reply = await network.call("POST", "/v1/query", who=network.admin, body=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.json["code"]) == (400, "usage")


async def test_a_cursor_is_good_for_its_query_only(asked: Network) -> None:
    cursor = (await get(asked, "pump", "&limit=5")).json["next"]
    assert len(names(await get(asked, "pump", f"&limit=5&cursor={cursor}"))) == 5
    assert (await get(asked, "pump where port > 1", f"&cursor={cursor}")).status == 400
    assert (await asked.get(f"/v1/policies?kind=pump&q=pump&cursor={cursor}", who=asked.admin)).status == 400


async def test_an_index_is_made_and_dropped_by_who_operates(asked: Network) -> None:
    async def change(**body: object) -> Reply:
        headers = {"Content-Type": "application/json"}
        return await asked.call("POST", "/v1/indexes", who=asked.admin, body=orjson.dumps(body), headers=headers)

    def by_hand(reply: Reply) -> list[str]:
        assert reply.status == 200, reply.body
        return [one["attribute"] for one in reply.json["indexes"] if "local" in one["by"]]

    assert by_hand(await change(kind="pump", attribute="port")) == ["port"]
    assert (await change(kind="pump", attribute="port")).status == 409
    assert by_hand(await asked.get("/v1/indexes", who=asked.admin)) == ["port"]
    assert names(await get(asked, "pump where port = 7")) == ["p7"]
    assert by_hand(await change(kind="pump", attribute="port", drop=True)) == []
    assert (await change(kind="pump", attribute="port", drop=True)).status == 404
