"""Tokens of the query language, each with its place in the text (docs/query.md).

`Tokens` is what every parser of a part of the language reads from: it looks one token ahead, and refuses with the column of what
it did not understand. Splitting a text takes time linear in its length.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Never

from ledger.core.errors import TooLargeError, UsageError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE = "docs/query.md has the grammar. Put quotes around text that holds spaces or signs."
SHOWN = 24  # characters of a token in an error: enough to recognise it

WORD = "word"
TEXT = "text"
SYMBOL = "symbol"
END = "end"

_SURROGATE = re.compile("[\ud800-\udfff]")  # what is left of bytes that are no UTF-8
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | "(?P<text>(?:[^"\\\x00-\x1f]|\\.)*)"
      | '(?P<literal>[^'\x00-\x1f]*)'
      | (?P<symbol>==|!=|<=|>=|[=<>\[\](),])
      | (?P<word>[^\s"'=\[\]()<>!,;\x00-\x1f\x7f]+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One token: a bare `word`, quoted `text` (unescaped), a `symbol`, or the `end`. `start` and `end` are offsets into the text."""

    form: str
    text: str
    start: int
    end: int

    @property
    def column(self) -> int:
        """Return where it stands, as people count."""
        return self.start + 1


class Tokens:
    """The tokens of one text, read from left to right. The last one is the end, which is never passed."""

    def __init__(self, text: str) -> None:
        """Split `text`. Raises TooLargeError above `LIMITS.query_text` bytes, UsageError for what is no token."""
        if len(text.encode("utf-8", "surrogatepass")) > LIMITS.query_text:
            raise TooLargeError(f"a query is at most {LIMITS.query_text} bytes long", advice="Ask for less at a time.")
        odd = _SURROGATE.search(text)
        if odd is not None:
            raise query_error(odd.start() + 1, "this is no Unicode text", advice="Write the query in UTF-8.")
        self.text = text
        self._tokens = list(_split(text))
        self._at = 0

    @property
    def token(self) -> Token:
        """Return the token that comes next."""
        return self._tokens[self._at]

    @property
    def passed(self) -> int:
        """Return the offset where the token before ended: what starts there touches it."""
        return self._tokens[self._at - 1].end if self._at else 0

    def ahead(self, count: int = 1) -> Token:
        """Return the token `count` places after the next one; the end if there are not so many."""
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Return the token that comes next, and go on."""
        token = self.token
        if token.form != END:
            self._at += 1
        return token

    def is_end(self) -> bool:
        """Tell whether nothing is left."""
        return self.token.form == END

    def is_word(self, *words: str) -> bool:
        """Tell whether a bare word of these comes next, in any case of letters."""
        return self.token.form == WORD and self.token.text.lower() in words

    def is_symbol(self, *symbols: str) -> bool:
        """Tell whether one of these symbols comes next."""
        return self.token.form == SYMBOL and self.token.text in symbols

    def take_word(self, *words: str) -> bool:
        """Pass a bare word of these, if one comes next, and tell whether it did."""
        found = self.is_word(*words)
        self._at += found
        return found

    def take_symbol(self, *symbols: str) -> bool:
        """Pass one of these symbols, if one comes next, and tell whether it did."""
        found = self.is_symbol(*symbols)
        self._at += found
        return found

    def expect_symbol(self, symbol: str) -> None:
        """Pass this symbol. Raises UsageError at anything else."""
        if not self.take_symbol(symbol):
            self.refuse(f"expected {symbol}")

    def refuse(self, expected: str) -> Never:
        """Raise UsageError at the token that comes next: what was expected, and what was found."""
        token = self.token
        found = "the end" if token.form == END else shown(token.text)
        raise query_error(token.column, f"{expected}, found {found}")


def query_error(column: int, what: str, *, advice: str = ADVICE) -> UsageError:
    """Return the error that points at a column of the query."""
    return UsageError(f"query, column {column}: {what}", advice=advice, column=column)


def shown(text: str) -> str:
    """Return a piece of the query as errors show it: short and in ASCII."""
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def _split(text: str) -> Iterator[Token]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            what = f"the quote {text[place]} never closes" if text[place] in "\"'" else f"{shown(text[place])} is not understood"
            raise query_error(place + 1, what)
        form = str(found.lastgroup)
        if form == "text":
            yield Token(TEXT, _unescaped(found, place + 1), place, found.end())
        elif form != "space":
            yield Token(TEXT if form == "literal" else form, found[form], place, found.end())
        place = found.end()
    yield Token(END, "", len(text), len(text))


def _unescaped(found: re.Match[str], column: int) -> str:
    try:
        text = str(json.loads(found[0]))
        text.encode()
    except ValueError as error:
        raise query_error(column, "this quoted text holds an escape that JSON does not know") from error
    return text
