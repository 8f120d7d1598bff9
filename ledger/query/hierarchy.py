"""Parents and children among policies, to any depth: what `bring.children`, `parents`, `paths` and `tree` follow.

A policy stands below another when its attribute `parent` holds the other's id (or is a list that does). That is the only relation:
a parent that is not there ends the way up. Everything is done level by level with one look-up a level, without recursion; what goes
round in a circle is found, said, and followed once. Pure: the policies come through `Kin`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ledger.core.errors import TooCostlyError
from ledger.core.limits import LIMITS
from ledger.query.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

Policy = Mapping[str, object]
PARENT = "parent"
ROOTLESS = frozenset({"cluster"})  # clusters have parents of another meaning: `get root policies` leaves them out, as theirs does
MOST_CYCLES = 20


class Relative(NamedTuple):
    """A policy, its id and the ids that it names as its parents, each once."""

    id: str
    parents: tuple[str, ...]
    policy: Policy


class Kin(Protocol):
    """How policies are looked up, any number of ids at once. What comes is in the order of the ids."""

    def of_ids(self, ids: Collection[str]) -> Iterable[Relative]:
        """Return the live policies of these ids."""
        ...

    def below(self, ids: Collection[str]) -> Iterable[Relative]:
        """Return the live policies that name one of these ids as a parent."""
        ...

    def with_parent(self) -> Iterable[Relative]:
        """Return the live policies that have the attribute `parent`."""
        ...


@dataclass(frozen=True, slots=True)
class Relation:
    """Which relatives are wanted: children, parents, paths or tree; `depth` levels of them, None for all."""

    name: str
    depth: int | None = 1


@dataclass(frozen=True, slots=True)
class Roots:
    """Policies that others name as parent and that name none: of the kinds in `include` (none: all but `cluster`), not in `exclude`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def has(self, kind: str) -> bool:
        """Return whether policies of this kind are meant."""
        return kind not in self.exclude and (kind in self.include if self.include else kind not in ROOTLESS)


@dataclass(frozen=True, slots=True)
class Found:
    """What a relation led to: rows, and the circles met on the way, each as the ids in it."""

    rows: list[dict[str, object]]
    cycles: list[tuple[str, ...]]


@dataclass(slots=True)
class _Graph:
    """What was looked up: policies by id, the ids next to each (above or below, as asked), and what was met below, nearest first."""

    relatives: dict[str, Relative]
    near: dict[str, list[str]] = field(default_factory=dict)
    met: dict[str, None] = field(default_factory=dict)


def relative_of(policy: Policy) -> Relative:
    """Take apart a policy as it is shown."""
    content = next(iter(policy.values()), None)
    if not isinstance(content, Mapping):
        return Relative("", (), policy)
    named = content.get(PARENT)
    if isinstance(named, str):
        parents: tuple[str, ...] = (named,) if named else ()
    else:
        several = named if isinstance(named, list | tuple) else ()
        parents = tuple(dict.fromkeys(one for one in several if isinstance(one, str) and one))
    return Relative(str(content.get("id", "")), parents, policy)


def follow(rows: Iterable[Policy], relation: Relation, kin: Kin) -> Found:
    """Return the relatives of the rows. Raises `TooCostlyError` beyond `LIMITS.relatives`, or for a tree of too many levels."""
    chosen = {one.id: one for one in map(relative_of, rows)}
    if relation.name == "children":
        return _children(chosen, relation.depth, kin)
    if relation.name == "tree":
        return _tree(chosen, relation.depth, kin)
    return (_parents if relation.name == "parents" else _paths)(chosen, relation.depth, kin)


def root_policies(kin: Kin, roots: Roots) -> list[Policy]:
    """Return the policies that others name as parent and that name none themselves."""
    named = {up for one in kin.with_parent() for up in one.parents}
    return [one.policy for one in kin.of_ids(named) if not one.parents and roots.has(next(iter(one.policy)))]


def _children(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> Found:
    """Give every policy below the chosen ones, nearest first, each once."""
    graph = _look_down(chosen, depth, kin)
    return Found([dict(graph.relatives[one].policy) for one in graph.met], cycles_in(graph.near))


def _parents(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> Found:
    """Give the chosen policies, each with `parents`: the ids above it, nearest first."""
    graph = _look_up(chosen, depth, kin)
    rows: list[dict[str, object]] = []
    meter = _meter()
    for one, relative in chosen.items():
        above = _above(one, depth, graph.near, meter)
        rows.append({**relative.policy, "parents": above})
    return Found(rows, cycles_in(graph.near, up=True))


def _above(one: str, depth: int | None, near: Mapping[str, Sequence[str]], meter: Meter) -> list[str]:
    found: dict[str, None] = {}
    level, steps = [one], 0
    while level and (depth is None or steps < depth):
        ups = [up for low in level for up in near.get(low, ())]
        meter.charge(len(ups))
        level = [up for up in dict.fromkeys(ups) if up not in found and up != one]
        found.update(dict.fromkeys(level))
        steps += 1
    return list(found)


def _paths(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> Found:
    """Give the chosen policies, each with `paths`: every way from a root down to it, as a list of `{kind, id, name}`."""
    graph = _look_up(chosen, depth, kin)
    steps = {one: _step(relative) for one, relative in graph.relatives.items()}
    rows: list[dict[str, object]] = []
    meter = _meter()
    for one, relative in chosen.items():
        ways = [[steps[up] for up in reversed(way)] for way in _ways(one, depth, graph.near, meter)]
        rows.append({**relative.policy, "paths": ways})
    return Found(rows, cycles_in(graph.near, up=True))


def _ways(one: str, depth: int | None, near: Mapping[str, Sequence[str]], meter: Meter) -> Iterator[list[str]]:
    """Yield every way up from `one` that ends where nothing stands above, or after `depth` steps; none that goes round."""
    way, on_way = [one], {one}
    waiting = [iter(near.get(one, ()))]
    fresh = True  # whether the way has just grown: only then may it be an end
    while waiting:
        meter.charge(1)
        ended = not near.get(way[-1]) or (depth is not None and len(way) > depth)
        if fresh and ended:
            meter.charge(len(way))
            yield list(way)
        up = None if ended else next((up for up in waiting[-1] if up not in on_way), None)
        fresh = up is not None
        if up is None:
            waiting.pop()
            on_way.discard(way.pop())
        else:
            way.append(up)
            on_way.add(up)
            waiting.append(iter(near.get(up, ())))


def _step(relative: Relative) -> dict[str, object]:
    kind, content = next(iter(relative.policy.items()))
    step: dict[str, object] = {"kind": kind, "id": relative.id}
    if isinstance(content, Mapping) and "name" in content:
        step["name"] = content["name"]
    return step


def _tree(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> Found:
    """Give the chosen policies that stand below no other of them, each with `children`, and so on down."""
    graph = _look_down(chosen, depth, kin)
    tops = _tops(chosen, graph.near)
    nodes: list[dict[str, object]] = []
    waiting: list[tuple[str, list[dict[str, object]], tuple[str, ...]]] = [(top, nodes, ()) for top in reversed(tops)]
    meter = _meter()
    while waiting:
        one, siblings, way = waiting.pop()
        meter.charge(1)
        below: list[dict[str, object]] = []
        siblings.append({**graph.relatives[one].policy, "children": below})
        if depth is not None and len(way) >= depth:
            continue
        if len(way) >= LIMITS.tree_levels:
            raise TooCostlyError(
                f"the tree below {tops[0]} has more than {LIMITS.tree_levels} levels",
                advice="Ask for some levels, as in bring.tree(10), or for bring.children(*).",
            )
        way = (*way, one)
        waiting.extend((low, below, way) for low in reversed(graph.near.get(one, ())) if low not in way)
    return Found(nodes, cycles_in(graph.near))


def _tops(chosen: Mapping[str, Relative], near: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what the chosen policies hang under: those that are below no other; of a circle of them, the first."""
    lower = {low for below in near.values() for low in below}
    tops = [one for one in chosen if one not in lower]
    reached = _reached(tops, near)
    for one in chosen:
        if one not in reached:
            tops.append(one)
            reached |= _reached([one], near)
    return [one for one in chosen if one in set(tops)]


def _reached(start: Iterable[str], near: Mapping[str, Sequence[str]]) -> set[str]:
    reached = set(start)
    waiting = list(reached)
    while waiting:
        new = [low for low in near.get(waiting.pop(), ()) if low not in reached]
        reached.update(new)
        waiting.extend(new)
    return reached


def _look_down(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> _Graph:
    graph, meter = _Graph(dict(chosen)), _meter()
    level, steps = set(chosen), 0
    while level and (depth is None or steps < depth):
        fresh: set[str] = set()
        for one in kin.below(level):
            meter.charge(1 + len(one.parents))
            graph.met[one.id] = None
            for up in one.parents:
                if up in level:
                    graph.near.setdefault(up, []).append(one.id)
            if one.id not in graph.relatives:
                graph.relatives[one.id] = one
                fresh.add(one.id)
        level, steps = fresh, steps + 1
    return graph


def _look_up(chosen: Mapping[str, Relative], depth: int | None, kin: Kin) -> _Graph:
    graph, meter = _Graph(dict(chosen)), _meter()
    level: list[Relative] = list(chosen.values())
    steps = 0
    while level and (depth is None or steps < depth):
        wanted = dict.fromkeys(up for one in level for up in one.parents if up not in graph.relatives)
        fresh = list(kin.of_ids(wanted)) if wanted else []
        graph.relatives.update((one.id, one) for one in fresh)
        for one in level:
            meter.charge(1 + len(one.parents))
            graph.near[one.id] = [up for up in one.parents if up in graph.relatives]
        level, steps = fresh, steps + 1
    return graph


def cycles_in(near: Mapping[str, Sequence[str]], *, up: bool = False) -> list[tuple[str, ...]]:
    """Return circles of the graph, each from a policy to the one below it, beginning with the smallest id; `up`: the graph leads upwards.

    None when there is none, at least one of every knot, at most 20. Takes linear time.
    """
    done: set[str] = set()
    found: set[tuple[str, ...]] = set()
    for start in sorted(near):
        if start not in done:
            found.update(_turned(cycle, up=up) for cycle in _cycles_from(start, near, done))
    return sorted(found)[:MOST_CYCLES]


def _turned(cycle: Sequence[str], *, up: bool) -> tuple[str, ...]:
    downwards = cycle[::-1] if up else cycle
    first = downwards.index(min(downwards))
    return (*downwards[first:], *downwards[:first])


def _cycles_from(start: str, near: Mapping[str, Sequence[str]], done: set[str]) -> Iterator[list[str]]:
    """Yield circles that are met on the way from `start` through what is not done, at most as many as are reported."""
    way, place, met = [start], {start: 0}, 0
    waiting = [iter(near[start])]
    while waiting:
        one = next(waiting[-1], None)
        if one is None:
            waiting.pop()
            last = way.pop()
            del place[last]
            done.add(last)
        elif one in place:
            met += 1
            if met <= MOST_CYCLES:
                yield way[place[one] :]
        elif one not in done:
            place[one] = len(way)
            way.append(one)
            waiting.append(iter(near.get(one, ())))


def _meter() -> Meter:
    return Meter(LIMITS.relatives, "relatives", "Ask for fewer policies with where, or for fewer levels, as in bring.children(2).")
