"""Their SQL export: `INSERT INTO ledger (…, policy) VALUES (…, '{…}');`, of which only the policies are wanted.

A strict reader of that one statement, not of SQL: names, numbers, NULL and text in quotes (a quote within is doubled). Where a
statement breaks off, the rest of it is one fault, and reading goes on at the next line that begins with INSERT.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ledger.core.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGINNING: Final = re.compile(rb"\s*INSERT\s", re.IGNORECASE)
COLUMN: Final = b"policy"
_BLANK: Final = re.compile(rb"\s*+")
_START: Final = re.compile(rb"^[ \t]*+INSERT\s", re.IGNORECASE | re.MULTILINE)
_TOKEN: Final = re.compile(
    rb"""\s*+(?:(?P<text>'(?:[^']|'')*+')|(?P<name>[A-Za-z_][A-Za-z0-9_]*+|"[^"]*+")|(?P<number>-?[0-9][0-9.eE+-]*+)|(?P<mark>[(),;.]))"""
)


def sql_texts(content: bytes) -> Iterator[tuple[int, bytes, str | None]]:
    """Yield line, text of the policy and None for each row, or line, nothing and the fault."""
    starts = [found.start() for found in _START.finditer(content)]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(content)], strict=True):
        line += content.count(b"\n", 0, start) if start == starts[0] else 0
        statement = content[start:end]
        yield from _Statement(statement, line).rows()
        line += statement.count(b"\n")


class _Statement:
    """One INSERT, from its first word on."""

    def __init__(self, text: bytes, line: int) -> None:
        self._text = text
        self._line = line
        self._counted = 0
        self._place = 0

    def rows(self) -> Iterator[tuple[int, bytes, str | None]]:
        """Yield its rows, then a fault if it breaks off or something stands behind it."""
        try:
            columns = self._head()
            token = b","
            while token == b",":
                self._expect(b"(")
                line = self._here()
                yield line, *_policy(self._values(), columns)
                token = self._next()
            self._end(token)
        except FormatError as error:
            yield self._here(), b"", error.message

    def _head(self) -> list[bytes]:
        self._expect(b"INSERT")
        self._expect(b"INTO")
        self._word()
        token = self._next()
        while token == b".":
            self._word()
            token = self._next()
        columns: list[bytes] = []
        if token == b"(":
            columns, token = self._names(), self._next()
        if token.upper() != b"VALUES":
            raise FormatError("not an INSERT of values")
        return columns

    def _names(self) -> list[bytes]:
        names = [self._word()]
        while (token := self._next()) == b",":
            names.append(self._word())
        if token != b")":
            raise FormatError("the list of columns has no end")
        return names

    def _values(self) -> list[bytes]:
        values = [self._value()]
        while (token := self._next()) == b",":
            values.append(self._value())
        if token != b")":
            raise FormatError("the list of values has no end")
        return values

    def _value(self) -> bytes:
        kind, token = self._token()
        if kind == "mark":
            raise FormatError("a value is missing")
        return token

    def _word(self) -> bytes:
        kind, token = self._token()
        if kind != "name":
            raise FormatError("a name is missing")
        return token.strip(b'"').lower()

    def _end(self, token: bytes) -> None:
        """Raise FormatError when the statement ends with something else than a semicolon or nothing, or something stands behind it."""
        if token not in {b";", b""}:
            raise FormatError("no INSERT statement")
        blank = _BLANK.match(self._text, self._place)
        self._place = self._place if blank is None else blank.end()
        if self._place != len(self._text):
            raise FormatError("no INSERT statement")

    def _expect(self, wanted: bytes) -> None:
        if self._next().upper() != wanted:
            raise FormatError(f"{wanted.decode()} is missing in an INSERT statement")

    def _next(self) -> bytes:
        if _BLANK.fullmatch(self._text, self._place):
            return b""
        return self._token()[1]

    def _token(self) -> tuple[str, bytes]:
        found = _TOKEN.match(self._text, self._place)
        if found is None or found.lastgroup is None:
            raise FormatError("no INSERT statement of names, numbers and text in quotes")
        self._place = found.end()
        return found.lastgroup, found[found.lastgroup]

    def _here(self) -> int:
        """Return the line of the place reached."""
        self._line += self._text.count(b"\n", self._counted, self._place)
        self._counted = self._place
        return self._line


def _policy(values: list[bytes], columns: list[bytes]) -> tuple[bytes, str | None]:
    """Return the policy of a row, or its fault: what the column of that name holds, without columns the last text that may be an object."""
    if columns and len(columns) != len(values):
        return b"", f"{len(values)} values for {len(columns)} columns"
    if columns and COLUMN not in columns:
        return b"", "there is no column policy"
    candidates = [values[columns.index(COLUMN)]] if columns else [value for value in values if value.startswith(b"'{")][-1:]
    if not candidates or not candidates[0].startswith(b"'"):
        return b"", "the row holds no policy"
    return candidates[0][1:-1].replace(b"''", b"'"), None
