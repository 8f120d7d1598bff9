"""What a condition means: the reference that every other way to answer a query must agree with. Pure.

Where a list stands, on the way or at the end, lists within it too, one element that meets the condition is enough. A path that leads
nowhere meets no condition, so `not` around it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from ledger.query.tree import EVERYTHING, Among, And, Compare, Exists, HasValue, Not, Or, walk
from ledger.query.values import test_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.query.tree import Condition, Leaf

Judge: TypeAlias = Callable[[str, object], bool]
LeafTest: TypeAlias = Callable[[object, "Sequence[str]"], bool]


def matches(condition: Condition, policy: Mapping[str, object], *, now: int = 0) -> bool:
    """Tell whether a policy, `{kind: content}`, meets the condition at the time `now` (Unix seconds).

    Anything of another shape meets only the empty condition.
    """
    if condition == EVERYTHING:
        return True
    if len(policy) != 1:
        return False
    ((kind, content),) = policy.items()
    return judge_of(condition, now=now)(kind, content)


def judge_of(condition: Condition, *, now: int = 0) -> Judge:
    """Return what tells of a kind and a content whether they meet the condition."""
    steps = [(node, _leaf_judge(node, now) if isinstance(node, Compare | Among | Exists | HasValue) else None) for node in walk(condition)]

    def judge(kind: str, content: object) -> bool:
        found: list[bool] = []
        for node, leaf in steps:
            if leaf is not None:
                found.append(leaf(kind, content))
            elif isinstance(node, Not):
                found.append(not found.pop())
            elif isinstance(node, And | Or):
                start = len(found) - len(node.terms)
                found[start:] = [(all if isinstance(node, And) else any)(found[start:])]
        return found[0]

    return judge


def leaf_test(leaf: Leaf, now: int) -> LeafTest:
    """Return what tells of a content and the names of a path in it whether they meet the leaf."""
    if isinstance(leaf, Exists):
        return stands
    test = _is_value if isinstance(leaf, HasValue) else test_of(leaf, now)
    return lambda content, names: any(map(test, values_at(content, names)))


def _leaf_judge(leaf: Leaf, now: int) -> Judge:
    path, test = leaf.path, leaf_test(leaf, now)
    return lambda kind, content: test(content, path.within(kind).names)


def _is_value(value: object) -> bool:
    return value is not None


def values_at(content: object, names: Sequence[str]) -> Iterator[object]:
    """Yield what stands at a path: no lists, but what is in them, in the order of the text."""
    waiting: list[tuple[object, int]] = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, list | tuple):
            waiting.extend((one, depth) for one in reversed(value))
        elif depth == len(names):
            yield value
        elif isinstance(value, Mapping) and names[depth] in value:
            waiting.append((value[names[depth]], depth + 1))


def stands(content: object, names: Sequence[str]) -> bool:
    """Tell whether anything stands at a path, an empty list too."""
    return any(isinstance(value, Mapping) and names[-1] in value for value in values_at(content, names[:-1]))
