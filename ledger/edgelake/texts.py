"""Where the policies stand in a file of theirs: the text of each, with the number of the line on which it begins.

Three forms, told apart by how the file begins: one JSON object a line (`blockchain.json`, `blockchain pull to json`), a JSON array
(what `blockchain get` answers), or INSERT statements (`blockchain pull to sql`). What is broken costs itself and nothing after it,
in time linear in the file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.edgelake.sql import BEGINNING, sql_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = b"\xef\xbb\xbf"  # that some editors put at the beginning of UTF-8
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{},]', re.DOTALL)
_OPENING: Final = frozenset((b"{", b"["))
_CLOSING: Final = frozenset((b"}", b"]"))


class Text(NamedTuple):
    """The text of one policy, or why there is none (`fault`), and its line, from 1."""

    line: int
    text: bytes
    fault: str | None = None


def texts(content: bytes) -> tuple[str, Iterator[Text]]:
    """Return the form of a file (`lines`, `array` or `sql`) and the text of each policy in it."""
    content = content.removeprefix(MARK)
    if BEGINNING.match(content):
        return "sql", (Text(*found) for found in sql_texts(content))
    if content.lstrip().startswith(b"["):
        return "array", array_texts(content)
    return "lines", line_texts(content)


def line_texts(content: bytes) -> Iterator[Text]:
    """Yield every line that is not blank."""
    for number, line in enumerate(content.split(b"\n"), 1):
        stripped = line.strip()
        if stripped:
            yield Text(number, stripped)


def array_texts(content: bytes) -> Iterator[Text]:
    """Yield the elements of an array. An element is whatever stands between two commas outside of text, objects and lists."""
    start = content.index(b"[") + 1
    depth, lines = 1, _Lines(content)
    for token in _TOKEN.finditer(content, start):
        mark = token[0]
        if mark in _OPENING:
            depth += 1
        elif mark in _CLOSING:
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            yield from _element(content, start, token.start(), lines)
            start = token.end()
        if depth == 0:
            break
    else:
        yield from _element(content, start, len(content), lines)
        yield Text(lines.at(len(content)), b"", "the list has no end")
        return
    rest = content[start:].strip()
    if rest:
        yield Text(lines.at(len(content) - len(content[start:].lstrip())), b"", f"{len(rest)} bytes stand after the end of the list")


def _element(content: bytes, start: int, end: int, lines: _Lines) -> Iterator[Text]:
    text = content[start:end]
    stripped = text.strip()
    if stripped:
        yield Text(lines.at(end - len(text.lstrip())), stripped)


class _Lines:
    """Counts lines up to places that only grow."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0
        self._line = 1

    def at(self, place: int) -> int:
        """Return the number of the line at this place."""
        self._line += self._content.count(b"\n", self._place, place)
        self._place = place
        return self._line
