"""Whole policies as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger.core.errors import UsageError

from . import output

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COLUMNS = 6
SHOWN_APART = frozenset({"id", "kind", "ledger", "date"})

Parts = Mapping[str, object]


def policy_table(found: Sequence[Mapping[str, object]]) -> str:
    """Return a table: of one kind with the attributes that most have, of several kinds with each one's own in one column.

    What a second query or a hierarchy put beside a policy has a column of its own.
    """
    if any(len(row) > 1 for row in found):
        columns = tuple(dict.fromkeys(root for row in found for root in row))
        return output.table(columns, [{root: _short(value) for root, value in row.items()} for row in found])
    parts = [taken_apart(policy) for policy in found]
    if len({kind for kind, _ in parts}) > 1:
        rows = [{"id": content.get("id"), "kind": kind, "attributes": _summary(content)} for kind, content in parts]
        return output.table(("id", "kind", "attributes"), rows)
    count: dict[str, int] = {}
    for _, content in parts:
        for name, value in content.items():
            if name not in SHOWN_APART and not isinstance(value, dict | list):
                count[name] = count.get(name, 0) + 1
    columns = tuple(sorted(count, key=lambda name: (-count[name], name != "name"))[:MAX_COLUMNS])
    return output.table(("id", *columns), [content for _, content in parts])


def taken_apart(row: Mapping[str, object]) -> tuple[str, Parts]:
    """Return the kind and the content of a row's first policy. UsageError for what is none."""
    kind, content = next(iter(row.items()))
    if not isinstance(content, Mapping):
        raise UsageError("a policy holds an object")
    return kind, content


def _short(value: object) -> object:
    return _summary(value) if isinstance(value, Mapping) else value


def _summary(content: Parts) -> str:
    """Return the plain attributes of a policy in one line, its name first."""
    plain = [(name, value) for name, value in content.items() if name not in SHOWN_APART and not isinstance(value, dict | list | None)]
    return " ".join(f"{name}={output.cell(value)}" for name, value in sorted(plain, key=lambda pair: pair[0] != "name"))
