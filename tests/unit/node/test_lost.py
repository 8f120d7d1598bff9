"""An agent of which a part ended says so and ends: it would serve a log that it follows no more."""

from __future__ import annotations

import asyncio
import io
import json
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import InternalError
from ledger.http.logs import EventLog
from ledger.http.service import World, until_stopped
from ledger.node.node import Node
from tests.support.identities import FrozenClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


async def broken() -> None:
    raise ValueError("a bug")


async def done() -> None:
    return


async def endless() -> None:
    await asyncio.Event().wait()


def node_of(stream: io.BytesIO, **parts: Coroutine[None, None, None]) -> Node:
    """Return what `lost` needs of a node, with these parts running."""
    node = Node.__new__(Node)
    node._world = World(FrozenClock(1_700_000_000), EventLog(stream, FrozenClock(1_700_000_000)))
    node._parts_running = tuple(asyncio.create_task(part, name=name) for name, part in parts.items())
    return node


@pytest.mark.parametrize(("part", "lines"), [(broken, ["ValueError"]), (done, [])])
async def test_agent_ends_with_its_part(part: Callable[[], Coroutine[None, None, None]], lines: list[str]) -> None:
    stream = io.BytesIO()
    node = node_of(stream, following=endless(), audit=part())
    with pytest.raises(InternalError, match="the part audit of the agent ended"):
        await until_stopped(asyncio.Event(), node.lost())
    assert [json.loads(line)["error"] for line in stream.getvalue().splitlines()] == lines
    for task in node._parts_running:
        task.cancel()


async def test_agent_that_is_stopped_ends_well() -> None:
    node = node_of(io.BytesIO(), following=endless())
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_soon(stopping.set)
    await until_stopped(stopping, node.lost())
    for task in node._parts_running:
        task.cancel()
