"""Attributes that a schema marks as indexed: the keyword `"index": true` in its `json_schema`, which validators pass over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_INDEXES: Final = 16  # of one kind
DEEPEST: Final = 8  # names of a path


def marked_paths(schema: Mapping[str, object]) -> tuple[tuple[str, ...], ...]:
    """Return the paths that a `schema` policy's body marks, sorted; the first `MOST_INDEXES` of them.

    Looked at are `properties`, and the `items` of lists, of which a mark stands on the list or on its items.
    """
    found: set[tuple[str, ...]] = set()
    waiting: list[tuple[object, tuple[str, ...]]] = [(schema.get("json_schema"), ())]
    while waiting:
        rule, names = waiting.pop()
        if not isinstance(rule, dict):
            continue
        if rule.get("index") is True and names:
            found.add(names)
        waiting.append((rule.get("items"), names))
        properties = rule.get("properties")
        if isinstance(properties, dict) and len(names) < DEEPEST:
            waiting.extend((below, (*names, name)) for name, below in properties.items())
    return tuple(sorted(found)[:MOST_INDEXES])
