"""The grammar of queries: text in, a tree out (docs/query.md).

What is not understood is refused with its column, never guessed at, so that the language can grow without changing what a query means
today. Parsing takes linear time and no recursion: parentheses may be nested as deep as the text allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.core.limits import LIMITS
from ledger.query.bring_grammar import is_bring, parse_bring
from ledger.query.hierarchy_grammar import parse_roots
from ledger.query.join_grammar import is_second, parse_seconds
from ledger.query.lexer import SYMBOL, TEXT, WORD, Tokens, query_error, shown
from ledger.query.tree import (
    EVERYTHING,
    MAX_CONDITIONS,
    MAX_VALUES,
    Among,
    And,
    Compare,
    Exists,
    FromNow,
    HasValue,
    Linked,
    Moment,
    Not,
    Or,
    Order,
    Path,
    Query,
    joined,
    negated,
)
from ledger.query.values import LONGEST_SPAN, ORDERS, SPAN_SECONDS, is_like_moment, moment_of, network_of, number_of

if TYPE_CHECKING:
    from ledger.query.hierarchy import Roots
    from ledger.query.join_grammar import Names
    from ledger.query.lexer import Token
    from ledger.query.tree import Condition, Leaf, Member, Value

RESERVED: Final = frozenset({"and", "or", "not", "exists", "in", "is", "null", "like", "where", "bring", "with"})
RELATIONS: Final = ("=", "==", "!=", "<", "<=", ">", ">=")
TEXT_OPERATORS: Final = ("contains", "startswith", "endswith", "childfrom")
CASTS: Final = frozenset({".int", ".float", ".str", ".bool"})
KIND: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
MAX_KINDS: Final = 16
MAX_ORDER: Final = 8

_SPAN: Final = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>[smhdw])", re.ASCII)
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(slots=True)
class _Group:
    """What stands between two parentheses, so far: closed terms of `or`, the open one, and whether `not` stands before."""

    negate: bool = False
    choices: list[Condition] = field(default_factory=list)
    terms: list[Condition] = field(default_factory=list)

    def close(self) -> Condition:
        whole = joined(Or, [*self.choices, joined(And, self.terms)])
        return negated(whole) if self.negate else whole


class Parser:
    """One pass over the tokens of one text. `kinds` are those that the query is about; empty: every kind."""

    def __init__(self, text: str, kinds: tuple[str, ...] = ()) -> None:
        self.tokens = Tokens(text)
        self.kinds = kinds
        self._conditions = 0
        self._names: Names | None = None  # of the row before, within a second query

    def end(self) -> None:
        """Raise UsageError unless nothing is left."""
        if not self.tokens.is_end():
            self.tokens.refuse("expected and, or, another part of the query, or the end")

    # -- the whole query -----------------------------------------------------------------------------------------

    def take_kinds(self) -> tuple[str, ...]:
        """Take a kind, `all`, or several kinds in parentheses."""
        if not self.tokens.take_symbol("("):
            kind = self._kind()
            return () if kind in {"all", "*"} else (kind,)
        kinds = [self._kind()]
        while self.tokens.take_symbol(","):
            kinds.append(self._kind())
        if len(kinds) > MAX_KINDS:
            raise query_error(1, f"a query names at most {MAX_KINDS} kinds; all means every kind")
        self.tokens.expect_symbol(")")
        return () if {"all", "*"} & set(kinds) else tuple(dict.fromkeys(kinds))

    def _kind(self) -> str:
        token = self.tokens.token
        if token.form != WORD or token.text.lower() in RESERVED or not (token.text == "*" or KIND.fullmatch(token.text)):
            self.tokens.refuse("expected a kind, or all")
        return self.tokens.take().text

    def clauses(self, *, bare: bool = False) -> Query:
        """Take what follows the kinds, in this order, each optional; `bare`: the word `where` as well."""
        tokens = self.tokens
        condition: Condition = EVERYTHING
        roots = self._roots()
        if tokens.take_word("where") or (bare and not self._is_clause()):
            condition = self.condition()
        seconds = parse_seconds(tokens, self.kinds, self._second)
        order = self.order() if tokens.is_word("order") else ()
        limit = self.limit() if tokens.take_word("limit") else None
        bring = parse_bring(tokens, rows=bool(seconds)) if is_bring(tokens) else None
        return Query(self.kinds, condition, seconds, bring, order, limit, roots)

    def _roots(self) -> Roots | None:
        """Take `policies …` after the kind `root`: the query is then about policies of every kind."""
        if self.kinds != ("root",) or not self.tokens.is_word("policies") or self.tokens.ahead().form == SYMBOL:
            return None
        self.kinds = ()
        return parse_roots(self.tokens)

    def _second(self, names: Names) -> Query:
        """Take kinds and condition of a second query, whose values may be those of the row before."""
        outer, self._names = self.kinds, names
        self.kinds = self.take_kinds()
        found = Query(self.kinds, self.condition() if self.tokens.take_word("where") else EVERYTHING)
        self.kinds, self._names = outer, None
        return found

    def _is_clause(self) -> bool:
        """Tell whether the text goes on with another part than a condition: `limit 3`, but not `limit = 3`."""
        tokens = self.tokens
        follows = tokens.ahead()
        if is_second(tokens) or is_bring(tokens):
            return True
        if tokens.is_word("order"):
            return follows.form == WORD and follows.text.lower() == "by"
        return tokens.is_end() or (tokens.is_word("limit") and follows.form == WORD and _LIMIT.fullmatch(follows.text) is not None)

    def order(self) -> tuple[Order, ...]:
        """Take `order by path [asc|desc], …`."""
        self.tokens.take()
        if not self.tokens.take_word("by"):
            self.tokens.refuse("expected by")
        keys: list[Order] = []
        while not keys or self.tokens.take_symbol(","):
            path = self.path()
            descending = self.tokens.is_word("desc")
            self.tokens.take_word("asc", "desc")
            keys.append(Order(path, descending))
        if len(keys) > MAX_ORDER:
            self.tokens.refuse(f"a query sorts by at most {MAX_ORDER} attributes")
        return tuple(keys)

    def limit(self) -> int:
        """Take the number after `limit`."""
        token = self.tokens.token
        if token.form != WORD or not _LIMIT.fullmatch(token.text):
            self.tokens.refuse("expected a number from 1 on")
        return int(self.tokens.take().text)

    # -- conditions ----------------------------------------------------------------------------------------------

    def condition(self) -> Condition:
        """Take conditions joined by `and` and `or`, of which `and` binds tighter, `not` tightest."""
        groups = [_Group()]
        while True:
            negate = self._nots()
            if self.tokens.take_symbol("("):
                groups.append(_Group(negate))
                continue
            leaf = self._leaf()
            groups[-1].terms.append(negated(leaf) if negate else leaf)
            while len(groups) > 1 and self.tokens.take_symbol(")"):
                closed = groups.pop().close()
                groups[-1].terms.append(closed)
            if self.tokens.take_word("and"):
                continue
            if not self.tokens.take_word("or"):
                break
            group = groups[-1]
            group.choices.append(joined(And, group.terms))
            group.terms = []
        if len(groups) > 1:
            self.tokens.refuse("expected and, or, or )")
        return groups[0].close()

    def _nots(self) -> bool:
        negate = False
        while self.tokens.take_word("not"):
            negate = not negate
        return negate

    def _leaf(self) -> Condition:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise query_error(
                self.tokens.token.column, f"a query has at most {MAX_CONDITIONS} conditions", advice="Ask for less at a time."
            )
        if self.tokens.take_word("exists"):
            return Exists(self.path())
        path = self.path()
        if self.tokens.is_symbol(*RELATIONS):
            return self._relation(path)
        if self.tokens.take_word("is"):
            return self._null(path)
        negate = self.tokens.take_word("not")
        leaf = self._worded(path)
        return Not(leaf) if negate else leaf

    def _worded(self, path: Path) -> Leaf:
        tokens = self.tokens
        if tokens.is_word(*TEXT_OPERATORS):
            op = tokens.take().text.lower()
            value = self._text()
            return Compare(path, op, value, ci=tokens.take_word("ci"))
        if tokens.take_word("exists"):
            return Exists(path)
        if tokens.take_word("in"):
            return self._among(path)
        if tokens.take_word("with"):
            if tokens.is_symbol("["):
                return self._among(path)
            return Compare(path, "=", self._value(path), ci=tokens.take_word("ci"))
        if tokens.is_word("like"):
            tokens.refuse("expected contains, startswith or endswith: there is no like")
        return tokens.refuse("expected an operator: = != < <= > >= in contains startswith endswith exists or is null")

    def _relation(self, path: Path) -> Condition:
        symbol = self.tokens.take().text
        column = self.tokens.token.column
        if self._names is not None and symbol in {"=", "=="} and self.tokens.is_symbol("["):
            return Linked(path, self._names.value(self.tokens), column)
        value = self._value(path)
        if symbol in ORDERS and isinstance(value, bool):
            raise query_error(column, "true and false have no order")
        if symbol not in ORDERS and isinstance(value, FromNow):
            raise query_error(column, "now goes with < <= > and >= (quotes make it text)")
        op = symbol if symbol in ORDERS else "="
        leaf = Compare(path, op, value, ci=self._takes_ci(value))
        return Not(leaf) if symbol == "!=" else leaf

    def _takes_ci(self, value: Value) -> bool:
        if self.tokens.is_word("ci") and not isinstance(value, str):
            self.tokens.refuse("ci is for text; expected and, or, or the end")
        return self.tokens.take_word("ci")

    def _null(self, path: Path) -> Condition:
        is_not = self.tokens.take_word("not")
        if not self.tokens.take_word("null"):
            self.tokens.refuse("expected null, or not null")
        return HasValue(path) if is_not else Not(HasValue(path))

    def _among(self, path: Path) -> Among:
        tokens = self.tokens
        closing = ")" if tokens.is_symbol("(") else "]"
        if not tokens.take_symbol("(", "["):
            column = tokens.token.column
            network = self._member(path)
            if not isinstance(network, str | int | float | bool | Moment | FromNow):
                return Among(path, (network,))
            raise query_error(column, "expected a list such as (a, b), or a network such as 10.0.0.0/8")
        values = [self._member(path)]
        while tokens.take_symbol(","):
            values.append(self._member(path))
            if len(values) > MAX_VALUES:
                tokens.refuse(f"a list has at most {MAX_VALUES} values")
        tokens.expect_symbol(closing)
        return Among(path, tuple(values), ci=tokens.take_word("ci"))

    def _member(self, path: Path) -> Member:
        token = self.tokens.token
        try:
            network = network_of(token.text) if token.form == WORD else None
        except ValueError as error:
            raise query_error(token.column, f"{shown(token.text)} is no network: {error} (quotes make it text)") from error
        if network is not None:
            self.tokens.take()
            return network
        value = self._value(path)
        if isinstance(value, FromNow):
            raise query_error(token.column, "now goes with < <= > and >= (quotes make it text)")
        return value

    # -- values --------------------------------------------------------------------------------------------------

    def _plain(self) -> Token:
        """Take a bare word that is not reserved, or a quoted text."""
        token = self.tokens.token
        if token.form == WORD and token.text.lower() == "null":
            self.tokens.refuse("expected a value (write `is null`, or put null in quotes)")
        if token.form not in {WORD, TEXT} or (token.form == WORD and token.text.lower() in RESERVED):
            self.tokens.refuse("expected a value")
        return self.tokens.take()

    def _text(self) -> str:
        return self._plain().text

    def _value(self, path: Path) -> Value:
        token = self._plain()
        if token.form == TEXT or path.names == ("id",):
            return token.text
        if token.text.lower() == "now" or token.text.lower().startswith(("now-", "now+")):
            return self._from_now(token)
        if token.text in {"true", "false"}:
            return token.text == "true"
        try:
            number = number_of(token.text)
        except OverflowError as error:
            raise query_error(token.column, "this number is larger than any in a policy (quotes make it text)") from error
        if number is not None:
            return number
        moment = moment_of(token.text)
        if moment is None and is_like_moment(token.text):
            raise query_error(token.column, f"{shown(token.text)} is no date or time that there is (quotes make it text)")
        return moment or token.text

    def _from_now(self, token: Token) -> FromNow:
        rest = token.text[3:]
        if not rest and self.tokens.token.form == WORD and self.tokens.token.text[0] in "+-":
            rest = self.tokens.take().text
        if not rest:
            return FromNow()
        if rest in {"+", "-"} and self.tokens.token.form == WORD:
            rest += self.tokens.take().text
        found = _SPAN.fullmatch(rest[1:])
        seconds = 0 if found is None else int(found["count"]) * SPAN_SECONDS[found["unit"]]
        if found is None or seconds > LONGEST_SPAN:
            raise query_error(token.column, f"{shown(rest)} is no span of time: a number and s, m, h, d or w, such as now - 7d")
        return FromNow(-seconds if rest[0] == "-" else seconds)

    # -- paths ---------------------------------------------------------------------------------------------------

    def path(self) -> Path:
        """Take a path: `a.b`, `[a][b]`, `a[b]`, `[*][a]`, `[kind][a]`."""
        tokens, column = self.tokens, self.tokens.token.column
        names: list[str] = []
        while tokens.is_symbol("["):
            names += self._bracketed(first=not names)
        brackets = len(names)
        while tokens.is_symbol("[") or (tokens.token.form == WORD and (not names or tokens.token.text.startswith("."))):
            names += self._bracketed(first=False) if tokens.is_symbol("[") else self._dotted(first=not names)
        if not names:
            tokens.refuse("expected an attribute")
        if len(names) > LIMITS.nesting:
            raise query_error(column, f"a path has at most {LIMITS.nesting} names: no policy is deeper")
        if self._names is not None and brackets > 1 and names[0] in self._names.known - set(self.kinds):
            raise query_error(column, "a value of the row before stands right of =")
        return self._rooted(names, brackets=brackets > 1)

    def _rooted(self, names: list[str], *, brackets: bool) -> Path:
        """Return the path: a first name in brackets may be the kind, as AnyLog writes it, or `*` for any."""
        if not brackets:
            return Path(tuple(names))
        if names[0] == "*" or (len(self.kinds) == 1 and names[0] == self.kinds[0]):
            return Path(tuple(names[1:]))
        return Path(tuple(names), outside=len(self.kinds) != 1)

    def _dotted(self, *, first: bool) -> list[str]:
        text = self.tokens.token.text
        if first == text.startswith("."):
            self.tokens.refuse("expected an attribute")
        if not first and text.lower() in CASTS:
            self.tokens.refuse("expected an operator (values have their own types here: leave the conversion out)")
        names = text.removeprefix(".").split(".")
        if (first and text.lower() in RESERVED) or not all(names):
            self.tokens.refuse("expected an attribute (a reserved word or an odd name stands in quotes and brackets)")
        if any(name.isdigit() for name in names):
            self.tokens.refuse(
                "expected an attribute (positions in lists are not understood; a name of digits stands in quotes and brackets)"
            )
        self.tokens.take()
        return names

    def _bracketed(self, *, first: bool) -> list[str]:
        tokens = self.tokens
        tokens.take()
        if not first and tokens.take_symbol("]"):
            return []  # `[a][][b]`: lists are gone through anyway
        token = tokens.token
        if token.form not in {WORD, TEXT}:
            tokens.refuse("expected an attribute")
        if token.form == WORD and token.text.isdigit():
            tokens.refuse("expected an attribute (positions in lists are not understood; a name of digits stands in quotes)")
        tokens.take()
        tokens.expect_symbol("]")
        return [token.text]
