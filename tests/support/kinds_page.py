"""The tables of docs/kinds.md: made from the standard schemas, between two marks of the page.

`python -m tests.support.kinds_page` writes them anew; a test fails while they differ.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.cli.output import answer
from ledger.kinds import explain, standard_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.kinds import Explanation
    from ledger.kinds.explaining import Attribute

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kinds.md"
START, END = "<!-- kinds: made by `make docs`, do not edit -->\n", "<!-- end of kinds -->\n"


def render() -> str:
    """Return a section for each kind in Markdown."""
    return "\n".join("\n".join(_section(explain(schema, body))) + "\n" for schema, body in standard_schemas().items())


def _section(kind: Explanation) -> Iterator[str]:
    yield f"### {kind.kind}\n"
    yield f"{kind.description}\n"
    rules = [f"unique: {', '.join(f'`{name}`' for name in names)}" for names in kind.unique]
    for ref in kind.refs:
        kept = ", which is not dropped meanwhile" if ref["drop"] == "refuse" else ""
        rules.append(f"`{ref['attr']}` refers to a live {ref['kind']}{kept}")
    if rules:
        yield f"By the fold: {'; '.join(rules)}.\n"
    if kind.rules:
        yield f"By authors and admission: {' '.join(kind.rules)}\n"
    yield "| attribute | is | |\n| --- | --- | --- |"
    yield from map(_row, kind.attributes)
    yield f"\n```json\n{json.dumps({kind.kind: kind.example}, ensure_ascii=False)}\n```"


def _row(attribute: Attribute) -> str:
    wants = attribute.wants if attribute.default is None else f"{attribute.wants}; `{attribute.default}` when it is left out"
    notes = [attribute.description, *(["Indexed."] if attribute.indexed else [])]
    return f"| `{attribute.name}`{' *' if attribute.required else ''} | {wants} | {' '.join(notes)} |".replace("  |", " |")


def page(text: str) -> str:
    """Return the page with its tables made anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n" + render() + "\n" + END + after


def main() -> int:
    """Write the page; say how many kinds it has."""
    PAGE.write_text(page(PAGE.read_text()))
    answer(f"kinds.md: {len(standard_schemas())} kinds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
