"""What `bring` gives, on the terminal: in its own form, or in the one that `-o` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ledger.core.errors import UsageError

from . import output
from .policytable import policy_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.query.bring import Brought

VALUE = "value"


def show(brought: Brought, form: str | None) -> None:
    """Print what was brought; `form` is that of `-o`, None to leave it to bring. Raises `UsageError` where there are no ids to show."""
    form = form or ("text" if brought.is_text else "table" if brought.shape == "table" else "json")
    if form == "text":
        _text(brought)
    elif form == "json":
        output.answer(output.as_json(brought.as_json()))
    elif form == "jsonl":
        _lines([output.as_line(value) for value in brought.values])
    elif form == "id":
        _lines([policy_id(value) for value in brought.values])
    elif brought.values:
        output.answer(_table(brought))


def _table(brought: Brought) -> str:
    whole = [value for value in brought.values if isinstance(value, Mapping)]
    if len(whole) < len(brought.values):
        return output.table((VALUE,), [{VALUE: value} for value in brought.values])
    return output.table(brought.columns, whole) if brought.columns else policy_table(whole)


def _text(brought: Brought) -> None:
    if brought.values:
        output.answer(output.as_text(brought.rows(), brought.separator))


def _lines(lines: Sequence[str]) -> None:
    if lines:
        output.answer("\n".join(lines))


def policy_id(value: object) -> str:
    """Return the id of a row's first policy, or the `id` that was brought."""
    if isinstance(value, Mapping) and value:
        first = next(iter(value.values()))
        found = value["id"] if "id" in value else first.get("id") if isinstance(first, Mapping) else None
        if isinstance(found, str):
            return found
    raise UsageError("this brings no ids", advice="Leave bring out, or add [id] to what it brings.")
