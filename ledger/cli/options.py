"""Options that every command takes, and the one object that carries them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from ledger.client.client import LedgerClient
from ledger.home.settings import Settings, find_home, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")
R = TypeVar("R")

FORMS = ("table", "json", "jsonl", "id")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the command line says about where to work and how to answer. None leaves it to the settings."""

    home: Path | None = None
    ledger: str | None = None
    form: str = "table"
    verbose: bool = False

    def home_path(self) -> Path:
        """Return the home to work in."""
        return find_home(self.home)

    def settings(self, **flags: object) -> Settings:
        """Return the settings of this home: flags, environment, config.toml, defaults, in that order."""
        given = {"ledger": self.ledger, **flags}
        return load_settings(self.home, {name: value for name, value in given.items() if value is not None})

    def client(self) -> LedgerClient:
        """Return a client of this home's ledger, to be entered with `async with`."""
        return LedgerClient.open(self.ledger, home=self.home)


def common(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of every command; it receives them as its first argument, an `Invocation`."""

    @click.option(
        "--home", type=click.Path(path_type=Path, file_okay=False), help="Home directory  [env: METALEDGER_HOME; default: ~/.metaledger]"
    )
    @click.option("--ledger", metavar="URL", help="Ledger URL  [env: METALEDGER_LEDGER; default: the home's]")
    @click.option("-v", "--verbose", is_flag=True, help="Show where an error comes from.")
    @click.pass_context
    @functools.wraps(command)
    def wrapper(context: click.Context, /, home: Path | None, ledger: str | None, verbose: bool, *args: Any, **kwargs: Any) -> R:
        before: Invocation = context.ensure_object(Invocation)
        context.obj = replace(before, home=home or before.home, ledger=ledger or before.ledger, verbose=verbose or before.verbose)
        context.find_root().obj = context.obj
        if "form" in kwargs:
            context.obj = replace(context.obj, form=kwargs.pop("form"))
        return command(context.obj, *args, **kwargs)  # type: ignore[arg-type]  # click passes the rest by name

    return wrapper  # type: ignore[return-value]  # click's decorators are untyped here


def output(*forms: str, default: str = "table") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a command `-o`; stands above `common`."""
    return click.option(
        "-o", "--output", "form", type=click.Choice(forms or FORMS), default=default, show_default=True, help="Form of the answer."
    )


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run one command's coroutine to its end."""
    import uvloop  # noqa: PLC0415 - 30 ms that `version` and `--help` need not pay

    return uvloop.run(work)
