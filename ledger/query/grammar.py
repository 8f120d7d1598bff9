"""The grammar of queries: text in, a typed tree out (docs/query.md).

    query = ( kind | "all" ), [ clause ]        clause = [ "where" ], equal, { "and", equal }
    equal = path, "=", value

What is not understood is refused with its column, never guessed at, so that the language can grow without
changing what a query means today. Words that it will need are reserved. Parsing takes linear time.
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

Scalar = str | int | float | bool

RESERVED = frozenset({"and", "or", "not", "where", "bring", "in", "like", "null"})
KIND = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?", re.ASCII)
TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | "(?P<quoted>(?:[^"\\\x00-\x1f]|\\.)*)"
      | '(?P<literal>[^'\x00-\x1f]*)'
      | (?P<symbol>[=\[\]])
      | (?P<word>[^\s"'=\[\]()<>!,;\x00-\x1f\x7f]+)""",
    re.VERBOSE,
)
ADVICE = "docs/query.md has the grammar. Put quotes around text that holds spaces or signs."


@dataclass(frozen=True, slots=True)
class Equal:
    """The attribute at `path` (names from the policy's content inwards) has `value`, or is a list that holds it."""

    path: tuple[str, ...]
    value: Scalar


@dataclass(frozen=True, slots=True)
class Where:
    """All `terms` hold; without any, every policy is meant."""

    terms: tuple[Equal, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """Live policies of `kind` (None: of every kind) that meet `where`."""

    kind: str | None
    where: Where


@dataclass(frozen=True, slots=True)
class _Token:
    form: str  # word, quoted, symbol or end
    text: str
    column: int


def parse_where(text: str) -> Where:
    """Parse a clause, with or without its leading `where`; nothing at all means every policy.

    Raises `UsageError` naming the column, or `TooLargeError`.
    """
    parser = _Parser(text)
    where = parser.clause()
    parser.end()
    return where


def parse_query(text: str) -> Query:
    """Parse a kind (or `all`) and its clause. Raises `UsageError` naming the column, or `TooLargeError`."""
    parser = _Parser(text)
    kind = parser.kind()
    if parser.is_at_end():
        return Query(kind, Where())
    if not parser.is_keyword("where"):
        parser.refuse("expected where")
    where = parser.clause()
    parser.end()
    return Query(kind, where)


class _Parser:
    """One pass over the tokens of one text."""

    def __init__(self, text: str) -> None:
        if len(text.encode("utf-8", "surrogatepass")) > LIMITS.query_text:
            raise TooLargeError(f"a query is at most {LIMITS.query_text} bytes long")
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    def refuse(self, expected: str) -> Never:
        """Raise `UsageError` at the present token."""
        token = self._token
        found = "the end" if token.form == "end" else _shown(token.text)
        raise _error(token.column, f"{expected}, found {found}")

    def is_at_end(self) -> bool:
        """Return whether nothing is left."""
        return self._token.form == "end"

    def is_keyword(self, word: str) -> bool:
        """Return whether the present token is the bare word `word`, in any case of letters."""
        return self._token.form == "word" and self._token.text.lower() == word

    def end(self) -> None:
        """Raise `UsageError` unless nothing is left."""
        if not self.is_at_end():
            self.refuse("expected and, or the end")

    def kind(self) -> str | None:
        """Take a kind, or `all`."""
        token = self._token
        if token.form != "word" or token.text.lower() in RESERVED or not KIND.fullmatch(token.text):
            self.refuse("expected a kind, or all")
        self._at += 1
        return None if token.text == "all" else token.text

    def clause(self) -> Where:
        """Take `[where] equal {and equal}`, or nothing."""
        if self.is_at_end():
            return Where()
        if self.is_keyword("where"):
            self._at += 1
        terms = [self._equal()]
        while self.is_keyword("and"):
            self._at += 1
            terms.append(self._equal())
        return Where(tuple(terms))

    def _equal(self) -> Equal:
        path = self._path()
        if not self._take_symbol("="):
            self.refuse("expected =")
        return Equal(path, self._value())

    def _path(self) -> tuple[str, ...]:
        names: list[str] = []
        while self._token.form in {"word", "symbol"} and self._token.text != "=":
            names += self._bracketed() if self._take_symbol("[") else self._dotted(first=not names)
        if not names:
            self.refuse("expected an attribute")
        return tuple(names)

    def _dotted(self, *, first: bool) -> list[str]:
        token = self._token
        if token.form != "word" or first == token.text.startswith("."):
            self.refuse("expected an attribute" if first else "expected =")
        names = token.text.removeprefix(".").split(".")
        if token.text.lower() in RESERVED or not all(names):
            self.refuse("expected an attribute (a reserved word or an odd name stands in quotes and brackets)")
        if any(name.isdigit() for name in names):
            self.refuse("expected an attribute (positions in lists are not understood; a name of digits stands in quotes and brackets)")
        self._at += 1
        return names

    def _bracketed(self) -> list[str]:
        token = self._token
        if token.form not in {"word", "quoted"}:
            self.refuse("expected an attribute")
        if token.form == "word" and token.text.isdigit():
            self.refuse("expected an attribute (positions in lists are not understood; a name of digits stands in quotes)")
        self._at += 1
        if not self._take_symbol("]"):
            self.refuse("expected ]")
        return [token.text]

    def _value(self) -> Scalar:
        token = self._token
        if token.form not in {"word", "quoted"} or (token.form == "word" and token.text.lower() in RESERVED):
            self.refuse("expected a value")
        self._at += 1
        return token.text if token.form == "quoted" else _scalar(token)

    def _take_symbol(self, symbol: str) -> bool:
        if (self._token.form, self._token.text) != ("symbol", symbol):
            return False
        self._at += 1
        return True


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None:
            what = f"the quote {text[place]} never closes" if text[place] in "\"'" else f"{_shown(text[place])} is not understood"
            raise _error(place + 1, what)
        form = str(found.lastgroup)
        if form == "quoted":
            yield _Token("quoted", _unescaped(found, place + 1), place + 1)
        elif form != "space":
            yield _Token("quoted" if form == "literal" else form, found[form], place + 1)
        place = found.end()
    yield _Token("end", "", len(text) + 1)


def _unescaped(found: re.Match[str], column: int) -> str:
    try:
        text = str(json.loads(found[0]))
        text.encode()
    except ValueError as error:
        raise _error(column, "this quoted text holds an escape that JSON does not know") from error
    return text


def _scalar(token: _Token) -> Scalar:
    if token.text in ("true", "false"):
        return token.text == "true"
    number = NUMBER.fullmatch(token.text)
    if number is None:
        return token.text
    if not abs(float(token.text)) <= LIMITS.number:
        raise _error(token.column, "this number is larger than any in a policy (quotes make it text)")
    return float(token.text) if number["fraction"] or number["exponent"] else int(token.text)


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 24 else text[:24] + "…")  # noqa: PLR2004 - enough to recognise it


def _error(column: int, what: str) -> UsageError:
    return UsageError(f"query, column {column}: {what}", advice=ADVICE, column=column)
