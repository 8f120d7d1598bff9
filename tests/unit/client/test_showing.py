"""What a source shows, page by page: the next page is on its way while one is worked on, and nobody waits for it who gave up."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from ledger.client.sync import Showing
from ledger.core.errors import FormatError, UnreachableError

if TYPE_CHECKING:
    from ledger.core.backend import Head

LOG = [b"entry %d" % number for number in range(25)]


class Source:
    """A source of `LOG` that gives four entries a page; it notes who asked for what, and what was given up."""

    received = 0
    requests = 0

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.given_up: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def head(self) -> Head:
        raise UnreachableError("nobody asks")

    async def roots(self, version: int) -> bytes | None:
        raise UnreachableError(f"nobody asks for {version}")

    async def read(self, start: int, end: int) -> list[bytes]:
        self.asked.append(start)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up.append(start)
            raise
        return LOG[start : min(end, start + 4)]


async def taken(showing: Showing, start: int, end: int) -> list[bytes]:
    """Return all that is shown."""
    found: list[bytes] = []
    async with aclosing(showing.between(start, end)) as pages:
        async for page in pages:
            found += page
    return found


async def test_pages_come_in_order_and_progress_tells_how_far() -> None:
    steps: list[tuple[int, int]] = []
    showing = Showing(Source(), "source", progress=lambda done, whole: steps.append((done, whole)))
    assert await taken(showing, 3, 14) == LOG[3:14]
    assert steps == [(4, 11), (8, 11), (11, 11)]
    assert await taken(showing, 7, 7) == []


async def test_what_was_pushed_is_not_fetched() -> None:
    source = Source()
    assert await taken(Showing(source, "source", pushed=(2, LOG[2:6])), 2, 9) == LOG[2:9]
    assert source.asked == [6]


async def test_the_next_page_is_asked_for_while_one_is_worked_on() -> None:
    source = Source()
    async with aclosing(Showing(source, "source").between(0, 25)) as pages:
        assert await anext(pages) == LOG[:4]
        await asyncio.sleep(0)
        assert source.asked == [0, 4]  # one ahead, not all


async def test_who_gives_up_leaves_no_request_behind() -> None:
    source = Source()
    with pytest.raises(ZeroDivisionError):
        await give_up(source)
    assert source.given_up == [4]


async def give_up(source: Source) -> None:
    async with aclosing(Showing(source, "source").between(0, 25)) as pages:
        async for _page in pages:
            source.gate.clear()
            await asyncio.sleep(0)
            raise ZeroDivisionError


@pytest.mark.parametrize("page", [[], LOG[:6]])
async def test_a_page_of_none_or_too_many_is_refused(page: list[bytes]) -> None:
    with pytest.raises(FormatError):
        await taken(Showing(Stubborn(page), "source"), 0, 5)


class Stubborn(Source):
    """A source that gives one page, whatever it is asked for."""

    def __init__(self, page: list[bytes]) -> None:
        super().__init__()
        self._page = page

    async def read(self, start: int, end: int) -> list[bytes]:
        self.asked += [start, end]
        return self._page
