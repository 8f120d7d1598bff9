"""What differs between two JSON values, by JSON pointer (RFC 6901), in the words of RFC 6902: add, remove, replace.

Objects are compared name by name. Of lists the common beginning and the common end are left out; what stands between is compared
place by place, and the rest of the longer one was added or removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.core.canonical import encode, same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.core.canonical import JSON

ADD: Final = "add"
REMOVE: Final = "remove"
REPLACE: Final = "replace"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `path` is its JSON pointer: in the value before for what was removed, else in the one after."""

    op: str
    path: str
    before: JSON = None
    after: JSON = None

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        sides = {ADD: ("after",), REMOVE: ("before",)}.get(self.op, ("before", "after"))
        return {"op": self.op, "path": self.path, **{side: getattr(self, side) for side in sides}}


def pointer(path: Iterable[str | int]) -> str:
    """Return the JSON pointer of a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def differences(before: JSON, after: JSON) -> list[Difference]:
    """Return how to come from one value to the other, in the order of the paths. Linear in their size."""
    return list(_compare((), before, after))


def _compare(path: tuple[str | int, ...], before: JSON, after: JSON) -> Iterator[Difference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            where = (*path, name)
            if name not in after:
                yield Difference(REMOVE, pointer(where), before=before[name])
            elif name not in before:
                yield Difference(ADD, pointer(where), after=after[name])
            else:
                yield from _compare(where, before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list):
        yield from _compare_lists(path, before, after)
    elif not same(before, after):
        yield Difference(REPLACE, pointer(path), before, after)


def _compare_lists(path: tuple[str | int, ...], before: list[JSON], after: list[JSON]) -> Iterator[Difference]:
    old, new = [encode(one) for one in before], [encode(one) for one in after]
    shorter = min(len(old), len(new))
    start = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    end = next((place for place in range(shorter - start) if old[-1 - place] != new[-1 - place]), shorter - start)
    both = shorter - end
    for place in range(start, both):
        yield from _compare((*path, place), before[place], after[place])
    for place in range(both, len(old) - end):
        yield Difference(REMOVE, pointer((*path, place)), before=before[place])
    for place in range(both, len(new) - end):
        yield Difference(ADD, pointer((*path, place)), after=after[place])
