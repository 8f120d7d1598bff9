"""Which policies are worth looking at: a condition as ranges of keys of the indexes that there are. Pure.

A plan names too many policies, never too few: the whole condition is asked of each of them. So keys may be rough: long text is cut,
moments become days, networks the text that their addresses begin with. Nothing is planned for what an index cannot say: `not`,
`exists`, `is null`, `ci`, the end or the middle of a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from ledger.query.tree import Among, And, Compare, FromNow, Linked, Moment, Not, Or, walk
from ledger.query.values import DAY, at, shift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ledger.query.tree import Condition, Leaf, Member, Network

Key: TypeAlias = str | int | float | bytes
KEY_CHARACTERS: Final = 128
MOST_RANGES: Final = 256  # of one plan; with more, everything is looked at
NULL: Final = b"\x00"
FALSE: Final = b"\x01"
TRUE: Final = b"\x02"
MANY: Final = b"\xff"  # filed for a policy with several values at the path
_LEAST_TEXT: Final = ""
_PAST_TEXT: Final = b""
_INFINITE: Final = float("inf")


def key_of(value: object) -> Key | None:
    """Return the key of a value; numbers come before text before booleans and null, as in SQLite. None for what has none."""
    if isinstance(value, bool):
        return TRUE if value else FALSE
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return value[:KEY_CHARACTERS]
    return NULL if value is None else None


def keys_of(values: Iterable[object]) -> frozenset[Key]:
    """Return the keys of the values at a path, with `MANY` when there are several."""
    keys = {key for value in values if (key := key_of(value)) is not None}
    return frozenset(keys | {MANY} if len(keys) > 1 else keys)


@dataclass(frozen=True, slots=True)
class Span:
    """Keys from `low` to `high`; `over`: without `low` itself, `under`: without `high` itself."""

    low: Key
    high: Key
    over: bool = False
    under: bool = False

    @classmethod
    def only(cls, key: Key) -> Span:
        """Return the span of one key."""
        return cls(key, key)

    @property
    def is_one(self) -> bool:
        """Tell whether it is one key."""
        return self.low == self.high and not (self.over or self.under)


@dataclass(frozen=True, slots=True)
class Index:
    """An index: the values at one path of the policies of one kind."""

    number: int
    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Keyed:
    """Policies filed in an index under keys of these spans. `rank`: how much this is likely to leave, the less the better."""

    index: Index
    spans: tuple[Span, ...]
    rank: int


@dataclass(frozen=True, slots=True)
class Named:
    """Policies of these ids."""

    ids: tuple[str, ...]
    rank: int = 0


Access: TypeAlias = Keyed | Named
Plan: TypeAlias = tuple[Access, ...]  # the policies of any of them; a scan is no plan: None
Indexes: TypeAlias = "Mapping[tuple[str, tuple[str, ...]], Index]"  # by kind and path
Weigh: TypeAlias = "Callable[[Plan], int]"


def plan_of(condition: Condition, kinds: Sequence[str], indexes: Indexes, now: int, weigh: Weigh) -> Plan | None:
    """Return the best plan for policies of these kinds (none: of every kind), None when every policy must be looked at.

    `weigh` tells roughly how many policies a plan names; it is asked only when there is a choice.
    """
    plan = _united([_Planner(kind, indexes, now, weigh).plan(condition) for kind in kinds or (None,)])
    ranges = sum(1 if isinstance(access, Named) else 1 + sum(not span.is_one for span in access.spans) for access in plan or ())
    return plan if ranges <= MOST_RANGES else None


class _Planner:
    """Plans for the policies of one kind, or of every kind."""

    def __init__(self, kind: str | None, indexes: Indexes, now: int, weigh: Weigh) -> None:
        self._kind = kind
        self._indexes = indexes
        self._now = now
        self._weigh = weigh

    def plan(self, condition: Condition) -> Plan | None:
        """Return the best plan of a condition."""
        found: list[Plan | None] = []
        for node in walk(condition):
            if isinstance(node, Not):
                found[-1] = None
            elif isinstance(node, And | Or):
                start = len(found) - len(node.terms)
                parts, found = found[start:], found[:start]
                found.append(self._best(parts) if isinstance(node, And) else _united(parts))
            else:
                found.append(self._leaf(node))
        return found[0]

    def _leaf(self, leaf: Leaf | Linked) -> Plan | None:
        if not isinstance(leaf, Compare | Among) or leaf.ci or (leaf.path.outside and self._kind is None):
            return None
        names = leaf.path.names if self._kind is None else leaf.path.within(self._kind).names
        if names == ("id",):
            return _named(leaf)
        index = None if self._kind is None else self._indexes.get((self._kind, names))
        spans = None if index is None else self._spans(leaf)
        return None if index is None or spans is None else (Keyed(index, spans[0], spans[1]),)

    def _spans(self, leaf: Compare | Among) -> tuple[tuple[Span, ...], int] | None:
        if isinstance(leaf, Among):
            parts = [_member_span(member) for member in leaf.values]
            spans = tuple(dict.fromkeys(part for part in parts if part is not None))
            return None if None in parts else (spans, 1 if all(span.is_one for span in spans) else 2)
        span = _compared(leaf, self._now)
        return None if span is None else ((span,), 0 if span.is_one else 2 if leaf.op in {"=", "startswith", "childfrom"} else 3)

    def _best(self, plans: Sequence[Plan | None]) -> Plan | None:
        """Return the plan of `and` that leaves least. Spans of one index are cut; policies with several values may meet each by another."""
        alone = [plan[0] for plan in plans if plan is not None and len(plan) == 1]
        cut: dict[Index, Keyed] = {}
        for access in alone:
            if isinstance(access, Keyed):
                before = cut.get(access.index)
                cut[access.index] = access if before is None else _cut(before, access)
        named = [access for access in alone if isinstance(access, Named)]
        single: list[Access] = [*named, *cut.values()]
        choices: list[Plan] = [(access,) for access in single]
        choices += [plan for plan in plans if plan is not None and len(plan) > 1]
        if len(choices) < 2:  # noqa: PLR2004 - a choice
            return choices[0] if choices else None
        return min(choices, key=lambda plan: (self._weigh(plan), max(access.rank for access in plan)))


def _united(plans: Sequence[Plan | None]) -> Plan | None:
    """Return the plan of `or`: all of them, or none."""
    found = tuple(dict.fromkeys(access for plan in plans if plan is not None for access in plan))
    return None if None in plans else found


def _named(leaf: Compare | Among) -> Plan | None:
    wanted = leaf.values if isinstance(leaf, Among) else (leaf.value,) if leaf.op == "=" else ()
    ids = tuple(dict.fromkeys(one for one in wanted if isinstance(one, str)))
    plain = bool(wanted) and all(isinstance(one, str | int | float) for one in wanted)
    return (Named(ids),) if plain else None


def _compared(leaf: Compare, now: int) -> Span | None:
    wanted = at(leaf.value, now)
    if isinstance(wanted, Moment):
        return _days(leaf.op, wanted)
    key = key_of(wanted)
    if key is None or leaf.op in {"contains", "endswith"}:
        return None
    if leaf.op == "=":
        return Span.only(key)
    if isinstance(key, str):
        return _texts(leaf.op, key)
    if isinstance(key, bytes):
        return None
    return Span(-_INFINITE, key, under=leaf.op == "<") if leaf.op[0] == "<" else Span(key, _INFINITE, over=leaf.op == ">")


def _texts(op: str, key: str) -> Span:
    if op in {"startswith", "childfrom"}:
        return Span(key, _after(key), under=True)
    # A key may be cut, so that text beyond it has the same key.
    return Span(_LEAST_TEXT, key) if op[0] == "<" else Span(key, _PAST_TEXT, under=True)


def _after(text: str) -> Key:
    """Return the first key after all text that begins so."""
    rest = text.rstrip("\U0010ffff")
    if not rest:
        return _PAST_TEXT
    last = ord(rest[-1]) + 1
    return rest[:-1] + chr(0xE000 if 0xD800 <= last < 0xE000 else last)  # noqa: PLR2004 - surrogates are no characters


def _days(op: str, moment: Moment) -> Span:
    """Return the span of text that may spell such a moment: it begins with a day, in an offset of less than a day."""
    first, last = shift(moment, -DAY), shift(moment, 2 * DAY)
    low = first if first is not None and op[0] != "<" else _LEAST_TEXT
    high: Key = last if last is not None and op[0] != ">" else _PAST_TEXT
    return Span(low, high, under=True)


def _member_span(member: Member) -> Span | None:
    if isinstance(member, Moment):
        return _days("=", member)
    if isinstance(member, str | int | float):
        key = key_of(member)
        return None if key is None else Span.only(key)
    return None if isinstance(member, FromNow) else _network(member)


def _network(network: Network) -> Span | None:
    """Return the span of the text of its addresses, which begin with the same numbers; None when they have none in common."""
    octets = network.prefixlen // 8
    if network.version != 4 or octets == 0:  # noqa: PLR2004 - addresses of version 6 have many spellings
        return None
    parts = str(network.network_address).split(".")[:octets]
    start = ".".join(parts) + ("." if octets < 4 else "")  # noqa: PLR2004 - octets of an address
    return Span(start, _after(start), under=True)


def _cut(one: Keyed, other: Keyed) -> Keyed:
    """Return what both leave, and the policies with several values."""
    spans = [span for left in one.spans for right in other.spans if (span := _overlap(left, right)) is not None]
    return Keyed(one.index, tuple(dict.fromkeys((*spans, Span.only(MANY)))), min(one.rank, other.rank))


def _overlap(one: Span, other: Span) -> Span | None:
    low, over = max((_place(span.low), span.over, span.low) for span in (one, other))[2:0:-1]
    high, under = one.high, one.under
    if (_place(other.high), not other.under) < (_place(high), not under):
        high, under = other.high, other.under
    span = Span(low, high, over, under)
    first, last = _place(low), _place(high)
    return span if first < last or (first == last and not (over or under)) else None


def _place(key: Key) -> tuple[int, Key]:
    return (0 if isinstance(key, int | float) else 1 if isinstance(key, str) else 2), key
