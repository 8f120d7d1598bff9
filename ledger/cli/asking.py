"""Asking a person before something that cannot be taken back."""

from __future__ import annotations

import sys

import click

from ledger.core.errors import UsageError

yes_option = click.option("--yes", is_flag=True, help="Do not ask. Programs, whose input is no terminal, are never asked.")


def confirm(question: str, *, yes: bool) -> None:
    """Ask when a person sits at the terminal. UsageError when the answer is no."""
    if yes or not sys.stdin.isatty():
        return
    if not click.confirm(question, err=True):
        raise UsageError("nothing was done", advice="Say y, or give --yes.")
