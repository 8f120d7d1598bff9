"""Verbs that several files hang nouns under, and how their help reads.

In help text, a paragraph of lines set in by two spaces (under a heading that ends in a colon, or none) is an example and
is shown as it stands; every other paragraph is wrapped.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_IT_STANDS = "\b\n"  # what click wants before a paragraph that it must not wrap


def laid_out(text: str | None) -> str | None:
    """Return help text with its examples marked to stay as they stand."""
    if text is None:
        return None
    paragraphs = re.split(r"\n[ \t]*\n", inspect.cleandoc(text))
    return "\n\n".join(AS_IT_STANDS + part if is_example(part.splitlines()) else part for part in paragraphs)


def is_example(lines: Sequence[str]) -> bool:
    """Tell whether a paragraph of these lines is an example."""
    body = lines[1:] if lines and lines[0].endswith(":") else lines
    return bool(body) and all(line.startswith("  ") for line in body)


class Command(click.Command):
    """A command whose examples stay as they stand."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.help = laid_out(self.help)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Do as click does, and say of every mistake which command it is about: of an option without its value click does not."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise


class Group(click.Group):
    """A group of such commands."""

    command_class: type[click.Command] | None = Command

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.help = laid_out(self.help)


def verb(cli: click.Group, name: str, help_text: str) -> click.Group:
    """Return the group of that verb, made the first time it is asked for."""
    found = cli.commands.get(name)
    if isinstance(found, click.Group):
        return found
    group = Group(name, help=help_text)
    cli.add_command(group)
    return group
