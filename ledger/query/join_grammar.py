"""The grammar of second queries: tokens in, `Second`s out (docs/query.md).

    second = [ "inner" | "left" ], ( "with" | "join" | "merge" ),
             "(", [ "blockchain" ], "get", kinds, [ "where", condition ], ")", [ "as", name ]

In its condition a value may be one of the row: `id = [operator][cluster]`. Such terms stand beside the others with `and`, and under no `or`
or `not`, so that rows meet by their values and never one by one. `with` and `join` leave out rows without a match, `merge` keeps them,
unless `inner` or `left` says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS
from ledger.query.bring_grammar import parse_place
from ledger.query.join import Link, Second
from ledger.query.lexer import WORD, query_error
from ledger.query.tree import EVERYTHING, And, Linked, Query, joined, walk

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.query.cells import Place
    from ledger.query.lexer import Tokens
    from ledger.query.tree import Condition

VERBS = ("with", "join", "merge")
SIDES = ("inner", "left")
TAKEN = frozenset({"parents", "paths", "children"})  # roots that a hierarchy adds to a row


class Names:
    """The names by which a row's policies are reached: the kinds of the first query (none: any), then those of each second."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.known = set(kinds)
        self.is_open = not kinds

    def value(self, tokens: Tokens) -> Place:
        """Take `[operator][cluster]`: a value of the row."""
        column = tokens.token.column
        place = parse_place(tokens)
        first = place.steps[0]
        if len(place.steps) > 1 and (first == "*" or first in self.known or (self.is_open and first is not None)):
            return place
        known = "] or [".join(sorted(self.known)) or "*"
        raise query_error(column, f"expected a value of the row before: [{known}] and then an attribute in brackets")

    def add(self, tokens: Tokens, kinds: tuple[str, ...]) -> str | None:
        """Take the name of a second query's policies, which is their kind unless `as` gives another. Returns what `as` gave."""
        if not tokens.take_word("as"):
            if self.is_open or not kinds or self.known & set(kinds):
                tokens.refuse("both queries may find policies of one kind: expected as, and a name for the second's")
            self.known.update(kinds)
            return None
        token = tokens.token
        if token.form != WORD or not token.text.isidentifier() or token.text in self.known | TAKEN:
            tokens.refuse("expected a name that no other policy of the row has")
        self.known.add(token.text)
        return tokens.take().text


def is_second(tokens: Tokens) -> bool:
    """Return whether a second query comes next."""
    follows = tokens.ahead().text.lower()
    return (tokens.is_word(*SIDES) and follows in VERBS) or (tokens.is_word(*VERBS) and follows == "(")


def parse_second(tokens: Tokens, names: Names, inner: Callable[[Names], Query]) -> Second:
    """Take one second query. `inner` takes kinds and condition between its parentheses. Raises `UsageError` naming the column."""
    side = tokens.take().text.lower() if tokens.is_word(*SIDES) else None
    if not tokens.is_word(*VERBS):
        tokens.refuse("expected with, join or merge")
    verb = tokens.take().text.lower()
    tokens.expect_symbol("(")
    tokens.take_word("blockchain")
    if not tokens.take_word("get"):
        tokens.refuse("expected get")
    query = inner(names)
    tokens.expect_symbol(")")
    where, links = _split(query.where)
    left = side == "left" or (side is None and verb == "merge")
    name = None if verb == "merge" else names.add(tokens, query.kinds)
    return Second(Query(query.kinds, where), links, left=left, merge=verb == "merge", name=name)


def parse_seconds(tokens: Tokens, kinds: tuple[str, ...], inner: Callable[[Names], Query]) -> tuple[Second, ...]:
    """Take all second queries. Each may use the values of those before it."""
    names = Names(kinds)
    found: list[Second] = []
    while is_second(tokens):
        if len(found) == LIMITS.seconds:
            tokens.refuse(f"a query has at most {LIMITS.seconds} second queries")
        found.append(parse_second(tokens, names, inner))
    return tuple(found)


def _split(condition: Condition) -> tuple[Condition, tuple[Link, ...]]:
    """Take the terms on the row's values out of a condition. Raises `UsageError` where one of them stands under `or` or `not`."""
    terms = condition.terms if isinstance(condition, And) else (condition,)
    links = tuple(Link(term.path, term.place) for term in terms if isinstance(term, Linked))
    rest: list[Condition] = [term for term in terms if not isinstance(term, Linked)]
    for term in rest:
        under = next((node for node in walk(term) if isinstance(node, Linked)), None)
        if under is not None:
            raise query_error(under.column, "a value of the row stands after =, and under no or and no not")
    return joined(And, rest) if rest else EVERYTHING, links
