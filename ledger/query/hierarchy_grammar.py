"""The grammar of `root policies`: tokens in, `Roots` out (docs/query.md).

roots = "root", "policies", [ "include", kind, { [ "," ], kind } ], [ "exclude", kind, { [ "," ], kind } ]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.canonical import is_kind
from ledger.query.hierarchy import Roots
from ledger.query.lexer import WORD

if TYPE_CHECKING:
    from ledger.query.lexer import Tokens

FOLLOWS = ("include", "exclude", "where", "with", "join", "merge", "inner", "left", "order", "limit", "bring")
MOST_KINDS = 16


def parse_roots(tokens: Tokens) -> Roots:
    """Take what follows `root`. Raises `UsageError` naming the column."""
    if not tokens.take_word("policies"):
        tokens.refuse("expected policies")
    return Roots(_kinds(tokens, "include"), _kinds(tokens, "exclude"))


def _kinds(tokens: Tokens, word: str) -> tuple[str, ...]:
    if not tokens.take_word(word):
        return ()
    found: list[str] = []
    while not found or tokens.take_symbol(",") or _goes_on(tokens):
        if not _goes_on(tokens) or len(found) == MOST_KINDS:
            tokens.refuse(f"expected a kind, of at most {MOST_KINDS}")
        found.append(tokens.take().text)
    return tuple(found)


def _goes_on(tokens: Tokens) -> bool:
    return _is_kind(tokens) and not tokens.is_word(*FOLLOWS)


def _is_kind(tokens: Tokens) -> bool:
    return tokens.token.form == WORD and is_kind(tokens.token.text)
