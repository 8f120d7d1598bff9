"""From text to a tree: whole queries, and the parts of one that programs ask for. What the language is stands in `grammar`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.canonical import is_kind
from ledger.query.grammar import Parser
from ledger.query.tree import EVERYTHING

if TYPE_CHECKING:
    from ledger.query.tree import Condition, Path, Query


def parse_where(text: str, kind: str | None = None) -> Condition:
    """Parse a condition on policies of `kind` (None: of every kind), with or without its leading `where`; nothing means every policy.

    Raises UsageError naming the column, or TooLargeError.
    """
    parser = Parser(text, () if kind is None else (kind,))
    condition: Condition = EVERYTHING
    if not parser.tokens.is_end():
        parser.tokens.take_word("where")
        condition = parser.condition()
    parser.end()
    return condition


def parse_path(text: str, kind: str) -> Path:
    """Parse the path of an attribute of a kind. Raises UsageError naming the column, or TooLargeError."""
    parser = Parser(text, (kind,))
    path = parser.path()
    parser.end()
    return path


def parse_query(text: str) -> Query:
    """Parse a whole query: kinds, then what is asked of them. Raises UsageError naming the column, or TooLargeError."""
    parser = Parser(text)
    parser.kinds = parser.take_kinds()
    query = parser.clauses()
    parser.end()
    return query


def parse_get(first: str, rest: str = "") -> Query:
    """Parse a query in two parts: a kind (or `all`) and what follows it, as `parse_clauses` does; or a whole query, cut anywhere."""
    if is_kind(first):
        return parse_clauses(rest, None if first == "all" else first)
    return parse_query(f"{first} {rest}" if rest else first)


def parse_clauses(text: str, kind: str | None = None) -> Query:
    """Parse what follows the kind in a query, each part optional, and the word `where` too. Raises as `parse_query` does."""
    parser = Parser(text, () if kind is None else (kind,))
    query = parser.clauses(bare=True)
    parser.end()
    return query
