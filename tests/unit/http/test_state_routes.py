"""What is not under a signed checkpoint yet is not shown, though the store holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from ledger.core.errors import NotFoundError
from ledger.core.state import Record
from ledger.engine.snapshot import Version
from ledger.http.call import Call
from ledger.http.feed import Hub
from ledger.http.frames import SignedHead
from ledger.http.log_routes import Sharing
from ledger.http.state_routes import StateRoutes, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def record(index: int, *, live: bool = True) -> Record:
    body: Any = {"n": index, "version": index} if live else None
    return Record("site", "site-1", live, f"{index:064x}", index, 3, "root", "root", "2026-11-22T10:00:00Z", body)


class Ahead:
    """A snapshot of five versions at indices 3, 5, 7, 9, 11; the statement of digest `d` stands at 9."""

    def history(self, _policy: str, start: int = 0, *, most: int = 10) -> list[Version]:
        indices = [index for index in (3, 5, 7, 9, 11) if index >= start][:most]
        return [Version(record(index), index + 2 if index < 11 else None) for index in indices]

    def state(self, size: int) -> Ahead:
        self._size = size
        return self

    def record(self, _policy: str) -> Record | None:
        return record(3) if self._size > 3 else None

    def find(self, _digest: str) -> int:
        return 9

    def receipt(self, index: int, size: int, note: bytes) -> bytes:
        return b"%d of %d under %b" % (index, size, note)

    def entry(self, index: int) -> bytes:
        return b"entry %d" % index


class Reads:
    async def read(self, work: Callable[[Any], Any]) -> Any:
        return work(Ahead())


async def nothing(_start: int, _end: int) -> Sequence[bytes]:
    return ()


def routes(size: int) -> StateRoutes:
    return StateRoutes(Hub(SignedHead(size, b"note"), nothing), Reads(), Sharing(public=False))


def call(param: str, query: str = "") -> Call:
    made = Call(make_mocked_request("GET", "/x" + query), "r")
    made.params = (param,)
    return made


def told(answer: object) -> Any:
    body = getattr(answer, "body", None)
    assert isinstance(body, bytes)
    return orjson.loads(body)


async def test_history_ends_at_the_signed_size() -> None:
    history = told(await routes(8).history(call("site-1")))
    assert history["size"] == 8
    assert [(version["index"], version["until"]) for version in history["versions"]] == [(3, 5), (5, 7), (7, None)]
    with pytest.raises(NotFoundError):
        await routes(3).history(call("site-1"))


async def test_receipt_is_for_the_signed_size_only() -> None:
    answer = await routes(10).receipt(call("0" * 64))
    assert answer.body == b"9 of 10 under note"
    with pytest.raises(NotFoundError):
        await routes(9).receipt(call("0" * 64))


async def test_root_beyond_the_signed_size_is_not_there() -> None:
    assert (await routes(10).root(call("9"))).body == b"entry 9"
    with pytest.raises(NotFoundError):
        await routes(9).root(call("9"))


def test_shown_keeps_a_date_of_its_own_and_names_the_ledger() -> None:
    assert shown(record(3)) == {"site": {"n": 3, "version": 3, "id": "site-1", "date": "2026-11-22T10:00:00Z", "ledger": "global"}}
    dated = Record("site", "s", True, "", 1, 1, "root", "root", "2026-11-22T10:00:00Z", {"date": "2020-01-01", "ledger": "mine"})
    assert shown(dated)["site"] == {"date": "2020-01-01", "ledger": "global", "id": "s"}
