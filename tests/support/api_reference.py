"""The API reference in docs/library.md: made from the signatures and docstrings of what `from ledger import …` gives.

`python -m tests.support.api_reference` writes it anew; a test fails while it differs.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ledger import LedgerClient
from ledger.cli.output import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
START, END = "<!-- reference: made by `make docs`, do not edit -->\n", "<!-- end of reference -->\n"


def calls() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the public calls of LedgerClient in the order of its source, those that write first."""
    for name, member in (one for owner in LedgerClient.__mro__ for one in vars(owner).items()):
        call = member.__func__ if isinstance(member, classmethod) else member
        if not name.startswith("_") and inspect.isfunction(call):
            yield name, call


def render() -> str:
    """Return the reference in Markdown."""
    return "\n".join(_section(name, call) for name, call in calls())


def _section(name: str, call: Callable[..., object]) -> str:
    signature = inspect.signature(call)
    shown = signature.replace(parameters=list(signature.parameters.values())[1:])
    kind = "async " if inspect.iscoroutinefunction(call) else "async for … in " if inspect.isasyncgenfunction(call) else ""
    return f"### {name}\n\n```text\n{kind}{name}{shown}\n```\n\n{inspect.getdoc(call)}\n"


def page(text: str) -> str:
    """Return the page with its reference made anew."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + START + "\n" + render() + "\n" + END + after


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    answer(f"{PAGE.name}: {len(list(calls()))} calls")
    sys.exit(0)
