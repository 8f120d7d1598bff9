"""In what order policies stand: `order by`. Pure, and the only place that knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ledger.query.evaluation import values_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ledger.query.tree import Order

Item = TypeVar("Item")
SortKey: TypeAlias = "tuple[int, int, object]"


def sort_policies(found: Iterable[Item], order: Sequence[Order], shown: Callable[[Item], Mapping[str, object]]) -> list[Item]:
    """Return `found` sorted by what `shown` gives of each: a policy, `{kind: content}`. Equals stay in the order in which they come."""
    keyed = [(item, policy) for item in found for policy in (shown(item),)]
    for key in reversed(order):
        keyed.sort(key=lambda pair, key=key: sort_key(key, pair[1]), reverse=key.descending)  # type: ignore[misc]  # mypy: a default in a lambda
    return [item for item, _ in keyed]


def sort_key(order: Order, policy: Mapping[str, object]) -> SortKey:
    """Return where a policy stands: after those whose key is smaller; with `descending`, before them. Without a value, last either way."""
    ((kind, content),) = policy.items()
    ranked = [one for value in values_at(content, order.path.within(kind).names) if (one := _ranked(value)) is not None]
    if not ranked:
        return (0 if order.descending else 1, 0, 0)
    rank, value = max(ranked) if order.descending else min(ranked)
    return (1 if order.descending else 0, rank, value)


def _ranked(value: object) -> tuple[int, object] | None:
    """Return a value with the rank of its type, so that no two types are compared. None for what has no order."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else None
