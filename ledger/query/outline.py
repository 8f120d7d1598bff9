"""What a query does after its condition, in words, one line a step: the other half of `explain query`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ledger.query.bring import columns_of
from ledger.query.cells import Field

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.query.bring import Bring
    from ledger.query.cells import Place
    from ledger.query.hierarchy import Relation
    from ledger.query.join import Second
    from ledger.query.tree import Query

RELATIVES: Final[Mapping[str, str]] = {
    "children": "what stands below",
    "parents": "the ids above",
    "paths": "the ways from the roots",
    "tree": "trees of what stands below",
}


def outline(query: Query, scans: Sequence[bool] = ()) -> list[str]:
    """Return the steps in their order; `scans` tells of each second query whether it looks at every policy of its kinds."""
    steps: list[str] = []
    if query.roots is not None:
        steps.append("keeps policies that others name as parent and that name none")
    steps += [_second(second, is_scan) for second, is_scan in zip(query.seconds, scans, strict=True)]
    if query.order:
        steps.append("orders by " + ", ".join(f"{one.path}{' desc' if one.descending else ''}" for one in query.order))
    if query.limit is not None:
        steps.append(f"keeps the first {query.limit}")
    if query.bring is not None:
        steps += _bring(query.bring, query.kinds)
    return steps


def of_kinds(kinds: Sequence[str]) -> str:
    """Return kinds as people read them."""
    return " ".join(kinds) if kinds else "every kind"


def _second(second: Second, is_scan: bool) -> str:
    links = " and ".join(f"{link.path} = {_place(link.place)}" for link in second.links)
    how = f"by {'looking at every policy' if is_scan else 'index'}" if links else "each of them"
    where = f" where {links}" if links else ""
    put = "merges them in" if second.merge else f"puts them beside as {second.name}" if second.name else "puts them beside"
    return f"finds {of_kinds(second.query.kinds)}{where}, {how}; {put}; rows without a match {'stay' if second.left else 'are left out'}"


def _bring(bring: Bring, kinds: Sequence[str]) -> list[str]:
    steps = [] if bring.relation is None else [_relation(bring.relation, kinds)]
    if bring.pick is not None:
        steps.append(f"keeps the {'earliest' if bring.pick == 'first' else 'latest'} by date")
    if bring.sort is not None:
        names = columns_of(bring.fields)
        steps.append("sorts by " + ", ".join(names[place] for place in bring.sort or range(len(names))))
    if bring.unique:
        steps.append("keeps each row once")
    fields = ", ".join(_field(part) for part in bring.parts if isinstance(part, Field)) or "whole policies"
    steps.append(f"brings {bring.shape} of {fields if bring.shape != 'ip_port' else 'address and port'}")
    return steps


def _relation(relation: Relation, kinds: Sequence[str]) -> str:
    depth = "to any depth" if relation.depth is None else f"{relation.depth} {'level' if relation.depth == 1 else 'levels'}"
    below = f", among {of_kinds(kinds)}" if relation.name in {"children", "tree"} else ""
    return f"follows {RELATIVES[relation.name]}, {depth}{below}"


def _field(field: Field) -> str:
    return ", else ".join(map(_place, field.paths))


def _place(place: Place) -> str:
    names = "".join(f"[{'' if step is None else step}]" for step in place.steps)
    return names if place.cut is None else f"{names[:-1]}({place.cut.function}({place.cut.argument}))]"
