"""What a query means, as a tree of frozen values. Texts become trees in `grammar`; trees are judged in `evaluation` and compiled in `sql`.

Conditions are two-valued: each holds for a policy or does not. `!=` is `not` around `=`, `is null` is `not` around `HasValue`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.query.bring import Bring
    from ledger.query.cells import Place
    from ledger.query.hierarchy import Roots
    from ledger.query.join import Second

MAX_CONDITIONS: Final = 256  # of one query; it bounds how deep they can lie, too
MAX_VALUES: Final = 1_024  # of one list

_PLAIN: Final = re.compile(r"(?!\d+(?:\.|$))[^\s\"'=\[\]()<>!,;.\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Path:
    """Where a value stands in a policy: names from its content inwards; lists on the way are gone through.

    `outside`: written with two brackets in a query of every kind, so that the first name may be the policy's own kind (`[operator][name]`).
    """

    names: tuple[str, ...]
    outside: bool = False

    def within(self, kind: str) -> Path:
        """Return the path within the content of a policy of this kind."""
        if not self.outside:
            return self
        return Path(self.names[1:] if self.names[0] == kind else self.names)

    def __str__(self) -> str:
        if self.outside or not all(map(_PLAIN.fullmatch, self.names)):
            return "".join(f"[{json.dumps(name, ensure_ascii=False)}]" for name in self.names)
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment, in nanoseconds since 1970 (UTC)."""

    ns: int


@dataclass(frozen=True, slots=True)
class FromNow:
    """The moment that lies so many seconds after the time of asking (before it, when negative)."""

    seconds: int = 0


Network: TypeAlias = IPv4Network | IPv6Network
Value: TypeAlias = str | int | float | bool | Moment | FromNow
Member: TypeAlias = Value | Network


@dataclass(frozen=True, slots=True)
class Compare:
    """Some value at `path` stands in relation `op` to `value`.

    `op`: `=`, `<`, `<=`, `>`, `>=`, `contains`, `startswith`, `endswith` or `childfrom`. `ci`: upper and lower case are the same.
    """

    path: Path
    op: str
    value: Value
    ci: bool = False


@dataclass(frozen=True, slots=True)
class Among:
    """Some value at `path` is one of `values`, or an address within one of them that is a network."""

    path: Path
    values: tuple[Member, ...]
    ci: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """Something stands at `path`, even null or an empty list."""

    path: Path


@dataclass(frozen=True, slots=True)
class HasValue:
    """Some value but null stands at `path`."""

    path: Path


@dataclass(frozen=True, slots=True)
class Linked:
    """Some value at `path` stands at `place` of a row, too: a term of a second query, which its grammar takes out of the condition."""

    path: Path
    place: Place
    column: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """`term` does not hold."""

    term: Condition


@dataclass(frozen=True, slots=True)
class And:
    """All `terms` hold; without any, every policy is meant."""

    terms: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """One of `terms` holds, or more."""

    terms: tuple[Condition, ...]


Leaf: TypeAlias = Compare | Among | Exists | HasValue
Condition: TypeAlias = Leaf | Linked | Not | And | Or

EVERYTHING: Final = And()


@dataclass(frozen=True, slots=True)
class Order:
    """Sort by the value at `path`."""

    path: Path
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """Live policies of these kinds (none: of every kind) that meet `where`, in this order, at most `limit` of them.

    `seconds` are the second queries, in their order; `roots` is for `root policies`. With any of them, order and limit are of the rows
    that come of it. `bring` is what is taken out of the rows.
    """

    kinds: tuple[str, ...] = ()
    where: Condition = EVERYTHING
    seconds: tuple[Second, ...] = ()
    bring: Bring | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    roots: Roots | None = None

    @property
    def kind(self) -> str | None:
        """Return the kind, when it is a query of one."""
        return self.kinds[0] if len(self.kinds) == 1 else None


def walk(condition: Condition) -> Iterator[Condition]:
    """Yield every part of a condition after the parts it is made of, from left to right. For stacks: no recursion, whatever the depth."""
    waiting: list[tuple[Condition, bool]] = [(condition, False)]
    while waiting:
        node, opened = waiting.pop()
        if opened or not isinstance(node, Not | And | Or):
            yield node
            continue
        waiting.append((node, True))
        terms = (node.term,) if isinstance(node, Not) else node.terms
        waiting.extend((term, False) for term in reversed(terms))


def negated(condition: Condition) -> Condition:
    """Return the condition that holds when this one does not."""
    return condition.term if isinstance(condition, Not) else Not(condition)


def joined(kind: type[And | Or], terms: list[Condition]) -> Condition:
    """Return `and` or `or` of these terms, flat: the only one as it is, and terms of the same sort taken in."""
    if len(terms) == 1:
        return terms[0]
    flat = [part for term in terms for part in (term.terms if isinstance(term, kind) else (term,))]
    return kind(tuple(flat))
