"""The measures themselves: each finds what it is for."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from tests.support import house
from tests.support.house import Module

DEEP = """
def f(a):
    if a:
        for b in a:
            while b:
                with b:
                    try:
                        pass
                    finally:
                        pass
    elif a:
        pass
"""


def first(text: str) -> house.Function:
    return next(house.functions(ast.parse(dedent(text))))


def test_depth_counts_blocks_and_not_elif() -> None:
    assert house.depth(first(DEEP)) == 5
    assert house.depth(first("def f(a):\n    if a:\n        pass\n    elif a:\n        pass\n    else:\n        pass")) == 1
    assert house.depth(first("def f(a):\n    def g():\n        if a:\n            pass\n    return g")) == 0


def test_body_leaves_the_docstring_out() -> None:
    assert house.body_lines(first('def f():\n    """One.\n\n    Two.\n    """\n    a = 1\n    return a')) == 2
    assert house.body_lines(first('def f():\n    """Nothing else."""')) == 0


def test_parameters_leave_self_out_and_count_keywords() -> None:
    assert house.parameters(first("def f(self, a, b, /, c, *rest, d, e=1, **more): ...")) == 5
    assert house.parameters(first("def f(a, self): ...")) == 2


def test_commands_are_known_by_their_decorators() -> None:
    assert house.is_command(first("@group.command('x')\ndef f(): ..."))
    assert house.is_command(first("@click.option('--x')\ndef f(): ..."))
    assert not house.is_command(first("@property\ndef f(): ..."))


@pytest.mark.parametrize("name", ["utils", "KeyManager", "HTTPHandler", "path_helpers", "process_entry", "_handle_it", "data", "Info"])
def test_names_that_say_nothing_are_banned(name: str) -> None:
    assert house.is_banned(name)


@pytest.mark.parametrize("name", ["database", "process", "information", "manage", "utilisation", "handled", "metadata"])
def test_names_that_only_look_alike_are_not(name: str) -> None:
    assert not house.is_banned(name)


@pytest.mark.parametrize("text", ["A = []", "A: dict[str, int] = {}", "A = {x for x in ()}", "A = collections.deque()", "A = B = set()"])
def test_mutable_state_is_found(text: str) -> None:
    assert "A" in house.mutable_state(Module("ledger/a.py", text))


@pytest.mark.parametrize(
    "text", ["A: Mapping[str, int] = {}", "A = ()", "A: Final = []", "A = frozenset({1})", "__all__ = []", "def f():\n    a = []"]
)
def test_what_cannot_change_is_not_state(text: str) -> None:
    assert house.mutable_state(Module("ledger/a.py", text)) == []


def test_names_come_from_modules_classes_fields_and_functions() -> None:
    module = Module("ledger/one/two.py", "class A:\n    b: int\n    def c(self): ...\n")
    assert set(house.names(module)) == {"ledger", "one", "two", "A", "b", "c"}


def test_calls_finds_plain_calls_only() -> None:
    assert house.calls(Module("a.py", "print(1)\nx.print(2)\n"), "print") == [1]
