"""`version` and `completion`."""

from __future__ import annotations

import importlib.metadata
import platform

import apsw
import click
from click.shell_completion import BashComplete, ShellComplete, ZshComplete

from . import output
from .options import Invocation, common
from .options import output as forms


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(version)
    cli.add_command(completion)


@click.command()
@forms("table", "json")
@common
def version(invocation: Invocation) -> None:
    """Print the versions of this program and of what it stands on."""
    facts = {
        "metaledger": importlib.metadata.version("metaledger"),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        **{name: importlib.metadata.version(name) for name in ("aiohttp", "cryptography", "PyNaCl")},
    }
    output.answer(output.one(facts, invocation.form))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print a completion script; add it to your shell's start-up file.

    \b
    Example:
      ledger-cli completion bash >> ~/.bashrc
    """
    classes: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete}
    root = context.find_root()
    output.answer(classes[shell](root.command, {}, "ledger-cli", "_LEDGER_CLI_COMPLETE").source())
