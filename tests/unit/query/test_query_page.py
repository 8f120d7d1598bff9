"""docs/query.md says what the language does: every example of it is run."""

from __future__ import annotations

import json
import re

import pytest

from ledger.core.limits import LIMITS
from ledger.query import parse_query
from ledger.query.answer import answer
from ledger.query.bring_grammar import FLAGS
from ledger.query.tree import MAX_CONDITIONS, MAX_VALUES
from tests.support.house import ROOT
from tests.support.query_table import Listed

PAGE = (ROOT / "docs" / "query.md").read_text()
(BLOCK,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = [
    (query, expected.rstrip("\n"))
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for query, expected in re.findall(r"^\$ get (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


@pytest.mark.parametrize(("query", "expected"), EXAMPLES)
def test_example(query: str, expected: str) -> None:
    brought = answer(parse_query(query), Listed([json.loads(line) for line in BLOCK.splitlines()])).brought
    assert brought is not None
    assert (brought.as_text() if brought.is_text else json.dumps(brought.as_json(), ensure_ascii=False)) == expected


def test_every_form_is_described_and_shown() -> None:
    assert len(EXAMPLES) >= 25
    forms = PAGE.partition("## Bring")[2].partition("## For those")[0]
    assert [name for name in FLAGS if f"`{name}`" not in forms and f"`bring.{name}`" not in forms] == []
    shown = {
        name
        for query, _ in EXAMPLES
        for flags in re.findall(r"bring((?:\.\w+(?:\([^)]*\))?)+)", query)
        for name in re.findall(r"[a-z_]+", flags)
    }
    assert set(FLAGS) - shown == {"last"}  # another word for recent


def test_limits_are_those_of_the_program() -> None:
    for number in (LIMITS.joined, LIMITS.relatives, LIMITS.brought_values, MAX_CONDITIONS, MAX_VALUES):
        assert f"{number:,}" in PAGE
    assert f"{LIMITS.seconds} second queries and {LIMITS.brought} fields" in PAGE
    assert f"a tree of more than {LIMITS.tree_levels} levels" in PAGE
