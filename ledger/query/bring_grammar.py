"""The grammar of `bring`: tokens in, a `Bring` out (docs/query.md).

    bring     = "bring", { ".", flag }, { field | text }, [ "separator", "=", text ]
    flag      = name, [ "(", argument, { ",", argument }, ")" ]
    field     = place, { ":", place }          place = "[", [ name, [ "(", function, "(", argument, ")", ")" ] ], "]", …

What stands in brackets is looked up, every other word is text that is given as it stands. Brackets that touch are one place, and
places that a colon joins without a space are one field: the first that is there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.core.limits import LIMITS
from ledger.query.bring import Bring
from ledger.query.cells import FUNCTIONS, Cut, Field, Literal, Place
from ledger.query.hierarchy import Relation
from ledger.query.lexer import TEXT, WORD, query_error, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.query.cells import Part
    from ledger.query.lexer import Tokens

SHAPES = ("json", "list", "table", "count", "min", "max", "ip_port")
RELATIONS = ("children", "parents", "paths", "tree")
PICKS = ("first", "recent", "last")
PLAIN = ("unique", "null")
FLAGS = (*SHAPES, *RELATIONS, *PICKS, *PLAIN, "sort")
EARLIER = ("where", "order", "limit", "join", "merge", "with", "inner", "left")
WHITE: Final[Mapping[str, str]] = {"\\n": "\n", "\\t": "\t"}
MOST_DIGITS = 6


@dataclass(slots=True)
class _Flags:
    """The flags read so far, each with its arguments and its column."""

    arguments: dict[str, tuple[str, ...]] = field(default_factory=dict)
    columns: dict[str, int] = field(default_factory=dict)

    def one_of(self, names: tuple[str, ...]) -> str | None:
        """Return the one of `names` that was given, or None. Refuses two."""
        given = [name for name in self.arguments if name in names]
        if len(given) > 1:
            raise query_error(self.columns[given[1]], f"{given[0]} and {given[1]} exclude each other")
        return given[0] if given else None

    def refuse(self, name: str, why: str) -> None:
        """Raise `UsageError` at a flag, if it was given."""
        if name in self.columns:
            raise query_error(self.columns[name], f"{name} {why}")


def is_bring(tokens: Tokens) -> bool:
    """Return whether a `bring` comes next."""
    return tokens.token.form == WORD and tokens.token.text.lower().partition(".")[0] == "bring"


def parse_bring(tokens: Tokens, *, rows: bool = False) -> Bring:
    """Take a `bring` to the end of the text; `rows`: of a query with second ones. Raises `UsageError` naming the column."""
    start = tokens.token.column
    flags = _flags(tokens)
    parts = _parts(tokens)
    separator = _separator(tokens)
    last = parts[-1] if len(parts) > 1 else None
    if separator is None and isinstance(last, Literal) and last.text in WHITE.values():
        parts, separator = parts[:-1], last.text  # as AnyLog's users end their rows
    if not tokens.is_end():
        tokens.refuse("expected the end")
    for name in RELATIONS if rows else ():
        flags.refuse(name, "follows single policies: it goes with no second query")
    wanted = _made(flags, parts, separator)
    if parts and not wanted.fields:
        raise query_error(start, "this brings nothing but text; an attribute stands in brackets, as in [name]")
    if not parts and wanted.shape == "text":
        raise query_error(start, "expected what to bring, as in bring [name] or bring.json")
    return wanted


def _flags(tokens: Tokens) -> _Flags:
    flags = _Flags()
    token = tokens.take()
    names, place = token.text.split(".")[1:], token.start + len("bring")
    while True:
        for number, name in enumerate(names):
            column = place + 2
            place += 1 + len(name)
            if name not in FLAGS:
                raise query_error(column, f"{shown(name)} is no form of bring; there are {', '.join(FLAGS)}")
            if name in flags.columns:
                raise query_error(column, f"{name} stands twice")
            flags.columns[name] = column
            last = number == len(names) - 1
            flags.arguments[name] = _arguments(tokens, name) if last and _touches(tokens, place, "(") else ()
        end = tokens.passed
        token = tokens.token
        if not (token.form == WORD and token.start == end and token.text.startswith(".")):
            break
        names, place = tokens.take().text.split(".")[1:], token.start
    if tokens.is_symbol("(") and next(reversed(flags.arguments), "") in {"sort", *RELATIONS}:
        tokens.refuse("expected no space before ( (in quotes it is text)")
    return flags


def _touches(tokens: Tokens, place: int, symbol: str) -> bool:
    """Return whether this symbol stands at that offset, next."""
    return tokens.token.start == place and tokens.is_symbol(symbol)


def _arguments(tokens: Tokens, name: str) -> tuple[str, ...]:
    """Take the arguments of `sort(1,0)` or `children(2)`."""
    if name != "sort" and name not in RELATIONS:
        tokens.refuse(f"{name} takes nothing in parentheses")
    tokens.take()
    found = [_argument(tokens, name)]
    while name == "sort" and tokens.take_symbol(","):
        found.append(_argument(tokens, name))
    tokens.expect_symbol(")")
    return tuple(found)


def _argument(tokens: Tokens, name: str) -> str:
    token = tokens.token
    if token.form == WORD and token.text == "*" and name != "sort":
        return tokens.take().text
    if token.form != WORD or not _is_number(token.text):
        tokens.refuse("expected the place of a field, from 0 on" if name == "sort" else "expected a number of levels, or *")
    return tokens.take().text


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


def _parts(tokens: Tokens) -> tuple[Part, ...]:
    parts: list[Part] = []
    while not tokens.is_end() and not tokens.is_word("separator"):
        if len(parts) >= LIMITS.brought:
            tokens.refuse(f"a bring has at most {LIMITS.brought} fields and texts")
        parts.append(_field(tokens) if tokens.is_symbol("[") else _literal(tokens))
    return tuple(parts)


def _literal(tokens: Tokens) -> Literal:
    token = tokens.token
    if tokens.is_word("python"):
        tokens.refuse("a query runs no code: expected fields in brackets and text")
    if is_bring(tokens):
        tokens.refuse("a query brings once: expected a field, text or the end")
    if tokens.is_word(*EARLIER):
        tokens.refuse(f"{token.text.lower()} stands before bring (in quotes it is text): expected a field, text or the end")
    return Literal(_given(tokens))


def _given(tokens: Tokens) -> str:
    r"""Take a token as the text that it is; a bare `\n` or `\t` as the character that it means."""
    token = tokens.take()
    return WHITE.get(token.text, token.text) if token.form == WORD else token.text


def _field(tokens: Tokens) -> Field:
    places = [parse_place(tokens)]
    while _joins(tokens):
        tokens.take()
        places.append(parse_place(tokens))
    return Field(tuple(places))


def _joins(tokens: Tokens) -> bool:
    """Return whether a colon comes next that touches the brackets on both sides."""
    colon, bracket = tokens.token, tokens.ahead()
    touching = colon.start == tokens.passed and bracket.start == colon.end
    return touching and (colon.form, colon.text, bracket.text) == (WORD, ":", "[")


def parse_place(tokens: Tokens) -> Place:
    """Take brackets that touch: `[a][][b]`. Raises `UsageError` naming the column."""
    steps: list[str | None] = []
    cut: Cut | None = None
    while not steps or _touches(tokens, tokens.passed, "["):
        if cut is not None:
            tokens.refuse("expected a space: nothing stands inside a part of a text")
        tokens.expect_symbol("[")
        if tokens.is_symbol("]"):
            steps.append(None)
        else:
            steps.append(_name(tokens))
            cut = _cut(tokens) if tokens.is_symbol("(") else None
        tokens.expect_symbol("]")
    return Place(tuple(steps), cut)


def _name(tokens: Tokens) -> str:
    token = tokens.token
    if token.form not in {WORD, TEXT}:
        tokens.refuse("expected an attribute")
    return tokens.take().text


def _cut(tokens: Tokens) -> Cut:
    """Take `(rfind(/))`."""
    tokens.expect_symbol("(")
    function = tokens.token
    if function.form != WORD or function.text not in FUNCTIONS:
        tokens.refuse(f"expected one of {', '.join(FUNCTIONS)}")
    tokens.take()
    tokens.expect_symbol("(")
    argument = tokens.token
    if argument.form not in {WORD, TEXT} or not argument.text:
        tokens.refuse("expected what to look for" if "find" in function.text else "expected a number of characters")
    if "find" not in function.text and not _is_number(argument.text):
        tokens.refuse("expected a number of characters")
    text = _given(tokens)
    tokens.expect_symbol(")")
    tokens.expect_symbol(")")
    return Cut(function.text, text)


def _separator(tokens: Tokens) -> str | None:
    if not tokens.take_word("separator"):
        return None
    tokens.expect_symbol("=")
    if tokens.is_end():
        tokens.refuse("expected what stands between the rows")
    return _given(tokens)


def _made(flags: _Flags, parts: tuple[Part, ...], separator: str | None) -> Bring:
    """Return what flags and parts mean together. Refuses, at the flag, what means nothing."""
    whole = "json" in flags.arguments and any(name in flags.arguments for name in ("count", "min", "max"))
    shape = flags.one_of(tuple(name for name in SHAPES if not (whole and name == "json"))) or "text"
    relation = flags.one_of(RELATIONS)
    pick = flags.one_of(PICKS)
    fields = [part for part in parts if isinstance(part, Field)]
    if relation == "tree":
        shape = shape if shape == "json" else "tree"
    elif shape == "text" and ("null" in flags.arguments or not parts) and flags.arguments:
        shape = "json"
    _check(flags, shape, len(fields), len(parts))
    return Bring(
        parts,
        shape,
        _relation(flags, relation),
        "recent" if pick == "last" else pick,
        _places(flags, len(fields)),
        unique="unique" in flags.arguments,
        null="null" in flags.arguments,
        whole=whole or (shape == "count" and bool(fields)),
        separator=separator if separator is not None else "," if shape == "ip_port" else "\n",
    )


def _check(flags: _Flags, shape: str, fields: int, parts: int) -> None:
    if shape in {"min", "max"} and (fields != 1 or parts != 1):
        flags.refuse(shape, "takes one field, as in [port]")
    if shape == "ip_port" and parts:
        flags.refuse(shape, "takes no fields: it brings address and port")
    if shape not in {"json", "list", "table"} or not fields:
        flags.refuse("null", "needs the fields of json, list or table")
    if not fields and shape != "ip_port":
        flags.refuse("sort", "needs fields to sort by")
    if shape in {"min", "max", "count"}:
        flags.refuse("sort", f"means nothing to {shape}")
    if "tree" in flags.arguments:
        for name in (*SHAPES[1:], *PICKS, *PLAIN, "sort"):
            flags.refuse(name, "means nothing to a tree")


def _relation(flags: _Flags, name: str | None) -> Relation | None:
    if name is None:
        return None
    levels = flags.arguments[name]
    if not levels:
        return Relation(name, 1 if name in {"children", "parents"} else None)
    return Relation(name, None if levels == ("*",) else int(levels[0]))


def _places(flags: _Flags, fields: int) -> tuple[int, ...] | None:
    if "sort" not in flags.arguments:
        return None
    places = tuple(int(place) for place in flags.arguments["sort"])
    for place in places:
        if place >= fields:
            raise query_error(flags.columns["sort"], f"sort({place}) is beyond the last field, which is {fields - 1}")
    return places
