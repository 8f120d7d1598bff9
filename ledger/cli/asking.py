"""Asking a person: before something that cannot be taken back, and for the passphrase of keys."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from ledger.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.home.settings import Settings

ENCRYPTED = b"ENCRYPTED"

yes_option = click.option("--yes", is_flag=True, help="Do not ask. Programs, whose input is no terminal, are never asked.")

passphrase_option = click.option(
    "--ask-passphrase", is_flag=True, help="Ask for a passphrase for the new keys.  [else env: METALEDGER_PASSPHRASE_FILE]"
)


def confirm(question: str, *, yes: bool) -> None:
    """Ask when a person sits at the terminal. UsageError when the answer is no."""
    if yes or not sys.stdin.isatty():
        return
    if not click.confirm(question, err=True):
        raise UsageError("nothing was done", advice="Say y, or give --yes.")


def new_passphrase(settings: Settings, *, ask: bool) -> str | None:
    """Return what protects new keys: what a person types twice, else what the settings say. UsageError without a terminal to ask at."""
    if not ask:
        return settings.passphrase
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at", advice="Name a file in METALEDGER_PASSPHRASE_FILE.")
    return str(click.prompt("Passphrase of the new keys", hide_input=True, confirmation_prompt=True, err=True))


def unlocked(home: Path, settings: Settings) -> Settings:
    """Return the settings with the passphrase of the home's keys, asked for when keys need one, none is set, and somebody sits there."""
    if settings.passphrase is not None or not sys.stdin.isatty() or not _is_locked(home):
        return settings
    return replace(settings, passphrase=str(click.prompt(f"Passphrase of the keys in {home}", hide_input=True, err=True)))


def _is_locked(home: Path) -> bool:
    return any(ENCRYPTED in path.read_bytes() for path in (home / "keys").glob("*.pem"))
