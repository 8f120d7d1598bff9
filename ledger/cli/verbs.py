"""Verbs that several files hang nouns under."""

from __future__ import annotations

import click


def verb(cli: click.Group, name: str, help_text: str) -> click.Group:
    """Return the group of that verb, made the first time it is asked for."""
    found = cli.commands.get(name)
    if isinstance(found, click.Group):
        return found
    group = click.Group(name, help=help_text)
    cli.add_command(group)
    return group
