"""`version` and `completion`."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import click

from . import output
from .options import Invocation, common
from .options import output as forms
from .verbs import Command

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(version)
    cli.add_command(completion)


@click.command(cls=Command)
@forms("table", "json")
@common
def version(invocation: Invocation) -> None:
    """Print the versions of this program and of what it stands on.

    For example:
      ledger-cli version -o json
    """
    from importlib import metadata  # noqa: PLC0415 - no other command needs these

    import apsw  # noqa: PLC0415 - as above

    facts = {
        "metaledger": metadata.version("metaledger"),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        **{name: metadata.version(name) for name in ("aiohttp", "cryptography", "PyNaCl")},
    }
    output.one(facts, invocation.form)


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a completion script; add it to your shell's start-up file.

    For example:
      ledger-cli completion bash >> ~/.bashrc
      ledger-cli completion zsh >> ~/.zshrc
    """
    from click.shell_completion import BashComplete, ZshComplete  # noqa: PLC0415 - one command needs it

    classes: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete}
    root = context.find_root()
    output.answer(classes[shell](root.command, {}, "ledger-cli", "_LEDGER_CLI_COMPLETE").source())
