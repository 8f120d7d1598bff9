"""Conditions as SQL over the columns of a version: `kind`, `id`, `iat` and `body`, which is canonical JSON.

SQLite's own JSON functions decide whatever they decide as `evaluation` does: plain values at a path without lists. What they do not
(lists, networks, moments, case folding, odd names) goes back to the reference through two functions that the connection must know:
`query_holds(number, body)` asks `holds[number]` about a whole body, `query_test(number, value)` asks `tests[number]` about one text.
So the two agree by construction where they could differ, and by property tests elsewhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ledger.core.errors import InternalError
from ledger.query.evaluation import leaf_test
from ledger.query.tree import Among, And, Compare, Exists, HasValue, Linked, Moment, Not, Or, walk
from ledger.query.values import at, test_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.query.tree import Condition, Leaf
    from ledger.query.values import Test

GLOBAL: Final = {"ledger": "global"}  # what every policy of the log shows
MANY: Final = 64  # more values than this are bound as one

# Names that SQLite's JSON paths take as they stand between quotes.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_ .:@/+*~$#%&-]*", re.ASCII)
_NEVER: Final = "0"
_ALWAYS: Final = "1"


@dataclass(slots=True)
class Compiled:
    """A condition as an SQL expression: `bindings` are for its numbered parameters, from `?1` on."""

    sql: str = _ALWAYS
    bindings: list[object] = field(default_factory=list)
    holds: list[Callable[[object], bool]] = field(default_factory=list)
    tests: list[Test] = field(default_factory=list)

    def bind(self, value: object) -> str:
        """Return the parameter that stands for the value."""
        self.bindings.append(value)
        return f"?{len(self.bindings)}"


def compile_condition(condition: Condition, *, now: int, first: tuple[object, ...] = ()) -> Compiled:
    """Return the condition at the time `now` (Unix seconds) as SQL. `first` are bindings of parameters that the caller uses before."""
    compiled = Compiled(bindings=list(first))
    found: list[str] = []
    for node in walk(condition):
        if isinstance(node, Not):
            found.append(f"NOT {found.pop()}")
        elif isinstance(node, And | Or):
            start = len(found) - len(node.terms)
            terms, found = found[start:], found[:start]
            found.append(_joined(" AND " if isinstance(node, And) else " OR ", terms, _ALWAYS if isinstance(node, And) else _NEVER))
        elif isinstance(node, Linked):
            raise InternalError("a second query's conditions on the row are taken out before it is asked")
        else:
            found.append(_Leaf(compiled, node, now).sql())
    compiled.sql = found[0]
    return compiled


def _joined(word: str, terms: list[str], nothing: str) -> str:
    return f"({word.join(terms)})" if terms else nothing


class _Leaf:
    """One leaf on its way to SQL."""

    def __init__(self, compiled: Compiled, leaf: Leaf, now: int) -> None:
        self._compiled = compiled
        self._leaf = leaf
        self._now = now

    def sql(self) -> str:
        """Return the expression: for a path that may start at the kind, one for each case."""
        path = self._leaf.path
        if not path.outside:
            return self._of(path.names)
        kind = path.names[0]
        return f"CASE kind WHEN {self._bind(kind)} THEN {self._of(path.within(kind).names)} ELSE {self._of(path.names)} END"

    def _bind(self, value: object) -> str:
        return self._compiled.bind(value)

    def _of(self, names: tuple[str, ...]) -> str:
        if names[0] == "ledger":
            return _ALWAYS if leaf_test(self._leaf, self._now)(GLOBAL, names) else _NEVER
        if names[0] == "id":
            return self._met("id", text=True) if len(names) == 1 else _NEVER
        if not all(map(_PLAIN.fullmatch, names)):
            return self._holds(names)
        place = self._bind(_json_path(names))
        kind, value = f"json_type(body,{place})", f"json_extract(body,{place})"
        if names == ("date",):
            kind, value = f"coalesce({kind},'text')", f"iif({kind} IS NULL,iat,{value})"
        through = self._through_list(names)
        if isinstance(self._leaf, Exists):
            return f"({kind} IS NOT NULL OR {through})"
        if isinstance(self._leaf, HasValue):
            return f"CASE coalesce({kind},'-') WHEN '-' THEN {through} WHEN 'null' THEN 0 WHEN 'array' THEN {self._holds(names)} ELSE 1 END"
        return f"CASE {kind} {self._cases(value)} WHEN 'array' THEN {self._holds(names)} ELSE {through} END"

    def _through_list(self, names: tuple[str, ...]) -> str:
        """Return the expression for a path at which SQLite finds nothing: the reference decides if there is a list on the way."""
        lists = [f"json_type(body,{self._bind(_json_path(names[:end]))})='array'" for end in range(1, len(names))]
        return f"(coalesce({' OR '.join(lists)},0) AND {self._holds(names)})" if lists else _NEVER

    def _holds(self, names: tuple[str, ...]) -> str:
        test = leaf_test(self._leaf, self._now)
        self._compiled.holds.append(lambda body: test(body, names))
        return f"query_holds({len(self._compiled.holds) - 1},body)"

    def _cases(self, value: str) -> str:
        """Return the cases of the types of values that can meet the leaf."""
        numbers = self._met(value, text=False)
        cases = [f"WHEN 'text' THEN {self._met(value, text=True)}"]
        if numbers != _NEVER:
            cases.append(f"WHEN 'integer' THEN {numbers} WHEN 'real' THEN {numbers}")
        leaf = self._leaf
        wanted = leaf.values if isinstance(leaf, Among) else (leaf.value,) if isinstance(leaf, Compare) else ()
        cases += [f"WHEN '{str(one).lower()}' THEN 1" for one in wanted if isinstance(one, bool)]
        return " ".join(cases)

    def _met(self, value: str, *, text: bool) -> str:
        """Return whether a text, or a number, meets the leaf."""
        leaf = self._leaf
        if isinstance(leaf, Exists | HasValue):
            return _ALWAYS
        return self._among(leaf, value, text=text) if isinstance(leaf, Among) else self._compared(leaf, value, text=text)

    def _compared(self, leaf: Compare, value: str, *, text: bool) -> str:
        wanted = at(leaf.value, self._now)
        if isinstance(wanted, Moment) or (text and isinstance(wanted, str) and (leaf.ci or leaf.op == "childfrom")):
            return self._tested(leaf, value) if text else _NEVER
        if isinstance(wanted, bool) or isinstance(wanted, str) is not text:
            return _NEVER
        if leaf.op == "contains":
            return f"instr({value},{self._bind(wanted)})>0"
        if leaf.op in {"startswith", "endswith"}:
            start = "1," if leaf.op == "startswith" else "-"
            bound = self._bind(wanted) if wanted else ""
            return f"substr({value},{start}length({bound}))={bound}" if wanted else _ALWAYS
        return f"{value}{leaf.op}{self._bind(wanted)}"

    def _among(self, leaf: Among, value: str, *, text: bool) -> str:
        plain = [one for one in leaf.values if isinstance(one, str if text else int | float) and not isinstance(one, bool)]
        if text and (leaf.ci or any(not isinstance(one, str | int | float) for one in leaf.values)):
            return self._tested(leaf, value)
        if not plain:
            return _NEVER
        if text and len(plain) > MANY:
            bound = self._bind(json.dumps(plain, ensure_ascii=False))
            return f"{value} IN (SELECT value FROM json_each({bound}))"  # noqa: S608 - all ours: a value of others is always bound
        return f"{value} IN ({','.join(map(self._bind, plain))})"

    def _tested(self, leaf: Compare | Among, value: str) -> str:
        self._compiled.tests.append(test_of(leaf, self._now))
        return f"query_test({len(self._compiled.tests) - 1},{value})"


def _json_path(names: tuple[str, ...]) -> str:
    return "$" + "".join(f'."{name}"' for name in names)
