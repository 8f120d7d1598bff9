"""`change passphrase`: what protects the key files of a home."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ledger.core.errors import BusyError, NotFoundError, UsageError
from ledger.home.files import read_secret
from ledger.home.home import Home
from ledger.home.lock import WriterLock

from . import output
from .options import Invocation, common
from .options import output as forms
from .verbs import Command, verb

CHANGE = """Change what protects this home.

For example:
  ledger-cli change passphrase
"""


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verb(cli, "change", CHANGE).add_command(passphrase)


@click.command("passphrase", cls=Command)
@click.option("--new-file", type=click.Path(path_type=Path, dir_okay=False), help="Read the new one from this file.")
@click.option("--remove", is_flag=True, help="Leave the keys without a passphrase.")
@forms("table", "json")
@common
def passphrase(invocation: Invocation, new_file: Path | None, *, remove: bool) -> None:
    """Put the private keys of this home under a passphrase, under another one, or under none.

    The present one comes from METALEDGER_PASSPHRASE_FILE, or is asked for. All keys in keys/ are changed, those kept from
    rotations too; the keys in tls/ never have a passphrase. Stop a master or an agent of this home first: it knows the old
    one only. What was stopped half way is finished by doing it again.

    For example:
      ledger-cli change passphrase
      ledger-cli change passphrase --new-file ./new-passphrase
      ledger-cli change passphrase --remove
    """
    from auth.keystore import KeyStore  # noqa: PLC0415 - what the other commands need not load

    home = Home(invocation.home_path())
    home.require()
    if remove and new_file is not None:
        raise UsageError("--remove and --new-file say two things", advice="Give one of them.")
    present = invocation.settings().passphrase
    wanted = None if remove else _wanted(new_file)
    try:
        with WriterLock.take(home.lock, wait_seconds=1.0):
            names = KeyStore(home.keys, None if present is None else present.encode()).protect(wanted)
    except BusyError as error:
        raise BusyError(
            "a master, an agent or another command works in this home: stop it, and start it with the new passphrase"
        ) from error
    if not names:
        raise NotFoundError(f"{home.keys} holds no key", advice="Name another home with --home.")
    if present is not None:
        output.note("whatever told the old passphrase, a file or a variable, must tell the new one from now on")
    output.one({"keys": names, "protected": wanted is not None}, invocation.form)


def _wanted(new_file: Path | None) -> bytes:
    """Return the new passphrase: the file's, else what a person types twice. UsageError without a terminal to ask at."""
    if new_file is not None:
        phrase = read_secret(new_file, lambda text: output.note(f"warning: {text}"))
        try:
            phrase.decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{new_file} is not UTF-8 text") from error
        return phrase
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask at", advice="Give --new-file FILE, or --remove.")
    return str(click.prompt("New passphrase of the keys", hide_input=True, confirmation_prompt=True, err=True)).encode()
