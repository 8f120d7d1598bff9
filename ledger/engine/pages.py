"""Answers in pages that stay as they are while the ledger grows: a cursor keeps the size, the time, and where the next page begins."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import orjson

from ledger.core.errors import UsageError
from ledger.query.answer import answer

if TYPE_CHECKING:
    from ledger.engine.queries import Search
    from ledger.query import Query
    from ledger.query.bring import Brought
    from ledger.query.join import Row

CURSOR_CHARACTERS: Final = 512
FIRST: Final = -1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins, in the answer to the query of that `tag` at a size and a time (Unix seconds).

    `after`: what was shown last, as a place for a plain query, else as a number; `FIRST` before anything. `shown`: how much was shown.
    """

    size: int
    now: int
    tag: str
    after: int = FIRST
    shown: int = 0

    def encode(self) -> str:
        """Return the cursor as text that goes into a URL as it is."""
        packed = orjson.dumps([self.size, self.now, self.tag, self.after, self.shown])
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def parse_cursor(text: str, tag: str) -> Cursor:
    """Return the cursor of a former answer to the query of that tag. Raises UsageError for anything else."""
    try:
        size, now, of, after, shown = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error) as error:
        raise UsageError("this is no cursor of ours") from error
    numbers = (size, now, after, shown)
    if len(text) > CURSOR_CHARACTERS or any(type(number) is not int or not FIRST <= number < 2**62 for number in numbers) or size < 0:
        raise UsageError("this is no cursor of ours")
    if of != tag:
        raise UsageError("this cursor is of another query", advice="Send it with the query whose answer it came with.")
    return Cursor(size, now, tag, after, shown)


@dataclass(frozen=True, slots=True)
class Page:
    """A part of an answer: `rows`, or what was `brought` out of them, and the cursor of the next page, None at the end."""

    rows: tuple[Row, ...]
    brought: Brought | None = None
    cycles: tuple[tuple[str, ...], ...] = ()
    next: Cursor | None = None


def page_of(asked: Search, query: Query, cursor: Cursor, most: int) -> Page:
    """Return at most `most` of the answer to a query, from the cursor on. Raises what `answer` and `Search.find` raise."""
    asked.as_of(cursor.size)
    if query.order or query.seconds or query.roots is not None or query.bring is not None:
        return _part(asked, query, cursor, most)
    left = most if query.limit is None else min(most, query.limit - cursor.shown)
    found = asked.find(query.kinds, query.where, after=cursor.after, most=left + 1) if left > 0 else []
    more = len(found) > left and (query.limit is None or cursor.shown + left < query.limit)
    shown = found[:left]
    following = replace(cursor, after=shown[-1].place, shown=cursor.shown + left) if more else None
    return Page(tuple(one.policy() for one in shown), next=following)


def _part(asked: Search, query: Query, cursor: Cursor, most: int) -> Page:
    """Answer the whole query and return a part of it: at one size and one time it is always the same."""
    result = answer(query, asked, now=cursor.now)
    brought, start, end = result.brought, cursor.shown, cursor.shown + most
    total = len(result.rows if brought is None else brought.values)
    following = replace(cursor, after=end, shown=end) if total > end else None
    return Page(result.rows[start:end], None if brought is None else brought.part(start, end), result.cycles, following)
