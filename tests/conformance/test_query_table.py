"""The table of queries, asked of the reference, of a replica on disk, and of a master over HTTPS."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import UsageError
from tests.support import query_table
from tests.support.live import live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.client.client import LedgerClient
    from ledger.client.transport import Transport
    from tests.support.live import LiveNetwork
    from tests.support.query_table import Case

CASES = query_table.cases()
MEMBERS = {"rows": "policies", "json": "brought", "cycles": "cycles"}
INDEXED = "name port level on tags ip seen date net.ip net.port list.dbms mixed path none list.tables.name"
ASKED = pytest.mark.parametrize("case", CASES, ids=[case["query"] for case in CASES])


async def ask(client: LedgerClient, query: str) -> Case:
    """Return what a client answers, in the form of a case."""
    try:
        found = await client.get(query)
    except UsageError as error:
        return query_table.refused(error)
    return query_table.case_of(found.policies, found.brought, found.cycles)


@pytest.fixture(scope="module")
def network(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    """A network in which the policies of the table are in force."""

    async def publish(network: LiveNetwork) -> None:
        async with network.client() as author:
            results = [result async for result in author.publish(query_table.policies())]
        assert [result.error for result in results if result.error is not None] == []

    with live(founded, tmp_path_factory.mktemp("table")) as network:
        asyncio.run(publish(network))
        yield network


@pytest.fixture(scope="module")
def of_replica(network: LiveNetwork) -> dict[str, Case]:
    """What a replica answers, by query."""

    async def work() -> dict[str, Case]:
        async with network.client() as client:
            await client.sync()
            return {case["query"]: await ask(client, case["query"]) for case in CASES}

    return asyncio.run(work())


@pytest.fixture(scope="module")
def of_indexed(network: LiveNetwork) -> dict[str, Case]:
    """What a replica answers that indexes what the queries are about."""

    async def work() -> dict[str, Case]:
        async with network.client(await network.join("indexed")) as client:
            await client.sync()
            for attribute in INDEXED.split():
                await client.create_index("meter", attribute)
            assert (await client.explain("meter", "where level > 3 and level < 5"))["scan"] is False
            return {case["query"]: await ask(client, case["query"]) for case in CASES}

    return asyncio.run(work())


@pytest.fixture(scope="module")
def of_master(network: LiveNetwork) -> dict[str, Case]:
    """What the master answers over HTTPS, by query."""

    async def ask(transport: Transport, query: str) -> Case:
        try:
            reply = await transport.post("/v1/query", json.dumps({"query": query}).encode(), "application/json")
        except UsageError as error:
            return query_table.refused(error)
        found = json.loads(reply.body)
        assert found["next"] is None
        return {name: found[there] for name, there in MEMBERS.items() if there in found}

    async def work() -> dict[str, Case]:
        async with network.transport() as transport:
            return {case["query"]: await ask(transport, case["query"]) for case in CASES}

    return asyncio.run(work())


def test_the_table_is_large_and_asks_nothing_twice() -> None:
    queries = [case["query"] for case in CASES]
    assert len(queries) == len(set(queries))
    assert len(queries) >= 300
    assert all(len({"json", "rows", "ids", "error"} & case.keys()) == 1 for case in CASES)


@ASKED
def test_replica_with_indexes(case: Case, of_indexed: dict[str, Case]) -> None:
    found = json.loads(json.dumps(of_indexed[case["query"]]))
    assert query_table.compared(case, found) == query_table.expected(case)


@ASKED
def test_reference(case: Case) -> None:
    assert query_table.compared(case, query_table.by_reference(case["query"])) == query_table.expected(case)


@ASKED
def test_replica(case: Case, of_replica: dict[str, Case]) -> None:
    found = json.loads(json.dumps(of_replica[case["query"]]))
    assert query_table.compared(case, found) == query_table.expected(case)


@ASKED
def test_master_over_https(case: Case, of_master: dict[str, Case]) -> None:
    wanted = query_table.expected(case)
    wanted.pop("text", None)  # a form of the command line
    assert query_table.compared(case, of_master[case["query"]]) == wanted
