"""`GET /v1/policies` and `POST /v1/query`: the query language over HTTPS (docs/query.md), in pages of one size of the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from ledger.core.canonical import is_kind
from ledger.core.errors import NotFoundError, UsageError
from ledger.core.limits import KIB, LIMITS
from ledger.engine.pages import Cursor, page_of, parse_cursor
from ledger.engine.queries import search
from ledger.engine.sizes import size_at
from ledger.http.call import JSON_TYPE, Call, bytes_response, parse_number
from ledger.http.routes import Route
from ledger.query import parse_clauses, parse_query

if TYPE_CHECKING:
    from aiohttp import web

    from ledger.core.ports import Clock
    from ledger.engine.pages import Page
    from ledger.engine.queries import Search, Searched
    from ledger.http.feed import Hub
    from ledger.query import Query

Marks = Callable[[], Mapping[str, object]]
BODY_BYTES: Final = 16 * KIB
ASKED: Final = {
    "q": "a whole query, such as: operator where port > 32000",
    "kind": "kind wanted",
    "where": "condition on policies of the kind, and whatever may follow one",
    "size": "answer for this tree size",
    "at": "answer for this tree size, or this time",
    "limit": "policies a page",
    "cursor": "of the former page",
}
MEMBERS: Final = frozenset({"query", "at", "limit", "cursor"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: a query with its tag, and which part of the answer."""

    query: Query
    tag: str
    at: str | None
    limit: int
    cursor: str | None


class QueryRoutes:
    """Answers queries on the state of one log. `marks` adds what every answer must say beside the size (a node: whether it is stale)."""

    def __init__(self, hub: Hub, store: Searched, clock: Clock, marks: Marks = dict) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._marks = marks

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        read = ("read",)
        return (
            Route("GET", "/v1/policies", self.policies, "Live policies, or what a query brings out of them.", read, query=ASKED),
            Route("POST", "/v1/query", self.query, "The same, with the query in the body.", read, takes=(JSON_TYPE,)),
        )

    async def policies(self, call: Call) -> web.Response:
        """Answer a page of the query in the URL: whole in `q`, or as `kind` and `where`."""
        fields = call.only(*ASKED)
        if "q" in fields and ("kind" in fields or "where" in fields):
            raise UsageError("q is a whole query: kind and where stand in it")
        if "size" in fields and "at" in fields:
            raise UsageError("size and at mean the same: give one of them")
        kind = fields.get("kind")
        if kind is not None and not is_kind(kind):
            raise UsageError("kind is no kind")
        query = parse_query(fields["q"]) if "q" in fields else parse_clauses(fields.get("where", ""), kind)
        limit = call.number("limit", LIMITS.page)
        size = str(call.number("size")) if "size" in fields else fields.get("at")
        text = orjson.dumps([fields.get(name) for name in ("q", "kind", "where")])
        return await self._answer(Asked(query, _tag(text), size, limit, fields.get("cursor")))

    async def query(self, call: Call) -> web.Response:
        """Answer a page of the query in the body: `{"query", "at"?, "limit"?, "cursor"?}`."""
        call.only()
        members = _members(await call.body(JSON_TYPE, cap=BODY_BYTES))
        text, at, cursor = (members.get(name) for name in ("query", "at", "cursor"))
        if not isinstance(text, str) or not isinstance(cursor, str | None):
            raise UsageError("query must be text; so must cursor, if it is there")
        if not isinstance(at, str | int | None) or isinstance(at, bool):
            raise UsageError("at must be a tree size or a time")
        limit = members.get("limit", LIMITS.page)
        if type(limit) is not int:
            raise UsageError("limit must be a whole number")
        asked = Asked(parse_query(text), _tag(text.encode()), None if at is None else str(at), limit, cursor)
        return await self._answer(asked)

    async def _answer(self, asked: Asked) -> web.Response:
        if not 1 <= asked.limit <= LIMITS.page:
            raise UsageError(f"limit must be 1 to {LIMITS.page}")
        present, now = self._hub.head.size, int(self._clock.now())
        cursor = None if asked.cursor is None else parse_cursor(asked.cursor, asked.tag)

        def work(search: Search) -> bytes:
            size = present if asked.at is None else self._size(search, asked.at)
            start = cursor or Cursor(size, now, asked.tag)
            self._check(start.size)
            return self._encoded(start.size, page_of(search, asked.query, start, asked.limit))

        body = await search(self._store, work, now=now if cursor is None else cursor.now)
        return bytes_response(body, JSON_TYPE, cache="private, no-cache", headers={"X-Content-Type-Options": "nosniff"})

    def _size(self, search: Search, at: str) -> int:
        if at.isascii() and at.isdigit():
            self._check(parse_number("at", at))
        return size_at(search.snapshot, at)

    def _check(self, size: int) -> None:
        present = self._hub.head.size
        if size > present:
            raise NotFoundError(f"the log has {present} entries, not {size}", size=present)

    def _encoded(self, size: int, page: Page) -> bytes:
        content: dict[str, object] = {"size": size, **self._marks()}
        if page.brought is None:
            content["policies"] = page.rows
        else:
            content["brought"] = page.brought.as_json()
        if page.cycles:
            content["cycles"] = page.cycles
        return orjson.dumps({**content, "next": None if page.next is None else page.next.encode()})


def _members(body: bytes) -> Mapping[str, object]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UsageError("the body is no JSON") from error
    if not isinstance(found, dict) or not found.keys() <= MEMBERS:
        raise UsageError('the body is {"query", "at", "limit", "cursor"}, of which only the query must be there')
    return found


def _tag(query: bytes) -> str:
    return hashlib.sha256(query).hexdigest()[:16]
