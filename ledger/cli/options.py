"""Options that every command takes, and the one object that carries them."""

from __future__ import annotations

import functools
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from ledger.home.settings import Settings, find_home, read_settings

from . import output as out
from .asking import unlocked

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ledger.client.client import LedgerClient
    from ledger.client.place import Place

P = ParamSpec("P")
R = TypeVar("R")

FORMS = ("table", "json", "jsonl", "id")


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the command line says about where to work and how to answer. None leaves it to the settings."""

    home: Path | None = None
    ledger: str | None = None
    form: str = "table"
    form_given: bool = False
    verbose: bool = False

    def home_path(self) -> Path:
        """Return the home to work in."""
        return find_home(self.home)

    def settings(self, **flags: object) -> Settings:
        """Return the settings of this home: flags, environment, config.toml, defaults, in that order. Warnings go to stderr."""
        given = {"ledger": self.ledger, **flags}
        reading = read_settings(self.home, {name: value for name, value in given.items() if value is not None})
        _warn(reading.warnings)
        return unlocked(self.home_path(), reading.settings)

    def place(self) -> Place:
        """Return this home as a client sees it, without opening anything. Warnings go to stderr."""
        from ledger.client.place import Place  # noqa: PLC0415 - what `version`, `--help` and a wrong option need not load

        place = Place.find(self.home, self.ledger)
        _warn(place.warnings)
        return replace(place, settings=unlocked(place.home.path, place.settings))

    def client(self, *, verifies: bool = False) -> LedgerClient:
        """Return a client of this home's ledger, to be entered with `async with`.

        Unless what is asked of it `verifies` all by itself, what the client takes on trust is said on stderr.
        """
        from ledger.client.client import LedgerClient  # noqa: PLC0415 - as above

        place = self.place()
        if place.caveat is not None and not verifies:
            out.note(f"note: {place.caveat}")
        return LedgerClient(place)


def _warn(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        out.note(f"warning: {warning}")


def common(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of every command; it receives them as its first argument, an `Invocation`."""

    @click.option(
        "--home", type=click.Path(path_type=Path, file_okay=False), help="Home directory.  [env: METALEDGER_HOME; default: ~/.metaledger]"
    )
    @click.option("--ledger", metavar="URL", help="Ledger URL.  [env: METALEDGER_LEDGER; default: the home's]")
    @click.option("-v", "--verbose", is_flag=True, help="Show where an error comes from.")
    @click.pass_context
    @functools.wraps(command)
    def wrapper(context: click.Context, /, home: Path | None, ledger: str | None, verbose: bool, *args: Any, **kwargs: Any) -> R:
        before: Invocation = context.ensure_object(Invocation)
        context.obj = replace(before, home=home or before.home, ledger=ledger or before.ledger, verbose=verbose or before.verbose)
        if "form" in kwargs:
            form = kwargs.pop("form")
            context.obj = replace(context.obj, form=form or "table", form_given=form is not None)
        return command(context.obj, *args, **kwargs)

    return wrapper  # type: ignore[return-value]  # click's decorators are untyped here


def output(*forms: str, default: str | None = "table") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a command `-o`; stands above `common`. Without a default, the answer itself may have a form."""
    shown = True if default is not None else "table, or the form that bring has"
    return click.option(
        "-o", "--output", "form", type=click.Choice(forms or FORMS), default=default, show_default=shown, help="Form of the answer."
    )


def run(work: Coroutine[Any, Any, R]) -> R:
    """Run one command's coroutine to its end."""
    with closing(work):  # an interruption may come before it begins
        from .running import run_to_end  # noqa: PLC0415 - its libraries take 60 ms that `version` and `--help` need not pay

        return run_to_end(work)
