"""The numbers of the house, measured: sizes, nesting, parameters, names, module-level state.

Pure: source text in, findings out. `tests/unit/test_house.py` refuses the hard limits; running this
module prints what is over the soft ones, and what the core installation weighs.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ledger", "master", "auth", "blockchain_adapters")

MODULE_SOFT, MODULE_HARD = 400, 600
BODY_SOFT, BODY_HARD = 40, 60
NESTING = 4
PARAMETERS = 5

BANNED_WORDS = {"util", "utils", "helper", "helpers", "manager", "handler"}
BANNED_NAMES = {"data", "info"}
BANNED_STARTS = ("process_", "handle_")
READ_ONLY = {"Mapping", "Sequence", "AbstractSet", "Set", "frozenset", "tuple", "Final", "TypeAlias", "Collection", "Iterable"}
MUTABLE_CALLS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "WeakKeyDictionary", "WeakSet"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match


@dataclass(frozen=True, slots=True)
class Module:
    """A source file: where it is, and what it says."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """Return its syntax tree."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Return how many lines it has."""
        return self.text.count("\n")

    @property
    def in_product(self) -> bool:
        """Return whether it is shipped."""
        return self.path.split("/", 1)[0] in PACKAGES


def modules(*folders: str) -> list[Module]:
    """Return every Python source below `folders` of the checkout."""
    found = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text()) for path in found]


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yield every function, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def body_lines(function: Function) -> int:
    """Return the lines of a body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def depth(node: ast.AST) -> int:
    """Return how deep blocks nest below `node`; `elif` is no deeper than its `if`, and a function within begins anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef | ast.Lambda):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, Block) and not is_elif))
    return deepest


def parameters(function: Function) -> int:
    """Return the number of parameters, without `self` and `cls`, and without * and **."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_command(function: Function) -> bool:
    """Return whether click calls it: there, an option is a parameter."""
    called = (d.func if isinstance(d, ast.Call) else d for d in function.decorator_list)
    return any(isinstance(one, ast.Attribute) and one.attr in {"command", "group", "option", "argument"} for one in called)


def words(name: str) -> set[str]:
    """Return the words of a name, whichever way they are joined."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def is_banned(name: str) -> bool:
    """Return whether a module, class, function or attribute may not be called so."""
    return bool(words(name) & BANNED_WORDS) or name.lower() in BANNED_NAMES or name.lstrip("_").startswith(BANNED_STARTS)


def names(module: Module) -> Iterator[str]:
    """Yield what `module` names: itself, its classes, their attributes, its functions."""
    yield from Path(module.path).with_suffix("").parts
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
            yield from (s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name))
        elif isinstance(node, Function):
            yield node.name


def mutable_state(module: Module) -> list[str]:
    """Return the module-level names bound to something that can change, unless annotated as read-only."""
    found = []
    for statement in module.tree.body:
        if isinstance(statement, ast.Assign):
            targets, value = [t.id for t in statement.targets if isinstance(t, ast.Name)], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None and not _is_read_only(statement.annotation):
            targets, value = [ast.unparse(statement.target)], statement.value
        else:
            continue
        if _is_mutable(value):
            found += [name for name in targets if name != "__all__"]
    return found


def _is_read_only(annotation: ast.expr) -> bool:
    return re.split(r"[\[.]", ast.unparse(annotation).removeprefix("typing."))[0] in READ_ONLY


def _is_mutable(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] in MUTABLE_CALLS


def calls(module: Module, name: str) -> list[int]:
    """Return the lines on which `module` calls the plain name `name`."""
    return [n.lineno for n in ast.walk(module.tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name]


def over_soft_limits() -> list[str]:
    """Return a line for everything between a soft and a hard limit."""
    found = []
    for module in modules(*PACKAGES, "tests"):
        if module.lines > MODULE_SOFT:
            found.append(f"{module.path}: {module.lines} lines (aim: {MODULE_SOFT})")
        sizes = ((f, body_lines(f)) for f in functions(module.tree))
        found += [f"{module.path}:{f.lineno}: {f.name} has {size} lines (aim: {BODY_SOFT})" for f, size in sizes if size > BODY_SOFT]
    return found


def main() -> None:
    """Print what is over the soft limits, and what the core installation weighs."""
    from tests.support.weight import core_installation  # noqa: PLC0415 - needs an installed metaledger, the rest does not

    found = over_soft_limits()
    weights = core_installation()
    sys.stdout.writelines(f"over the soft limit: {line}\n" for line in found)
    sys.stdout.write(f"core installation: {len(weights)} distributions, {sum(weights.values()) / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
