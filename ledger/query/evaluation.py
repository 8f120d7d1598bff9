"""What a clause means: pure, typed, and linear in the size of the policy.

Values are equal when they are of one type and equal: 1 is 1.0, and neither is "1" or true. Where a list
stands, on the way or at the end, any element may meet the condition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.query.grammar import Equal, Scalar, Where


def matches(where: Where, policy: Mapping[str, object]) -> bool:
    """Return whether a policy, `{kind: content}`, meets the clause. Anything of another shape meets only the empty one."""
    if not where.terms:
        return True
    if len(policy) != 1:
        return False
    (content,) = policy.values()
    return all(_holds(term, content) for term in where.terms)


def _holds(term: Equal, content: object) -> bool:
    return any(_is_equal(value, term.value) for value in _values(content, term.path))


def _values(content: object, path: Sequence[str]) -> Iterator[object]:
    """Yield what stands at `path`, going through lists."""
    waiting: list[tuple[object, int]] = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, list | tuple):
            waiting.extend((one, depth) for one in value)
        elif depth == len(path):
            yield value
        elif isinstance(value, Mapping) and path[depth] in value:
            waiting.append((value[path[depth]], depth + 1))


def _is_equal(value: object, wanted: Scalar) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, str) or isinstance(wanted, str):
        return type(value) is type(wanted) and value == wanted
    return value == wanted
