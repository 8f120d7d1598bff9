"""`rotate key`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.errors import UsageError
from ledger.home.files import create_file

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from ledger.core.errors import LedgerError

ROTATE = """Replace a key or a certificate by a new one, while everything goes on.

For example:
  ledger-cli rotate key
  ledger-cli rotate log-key
"""


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "rotate", ROTATE)
    group.add_command(key)
    group.add_command(log_key)


@click.command("key", cls=Command)
@click.option("--server", is_flag=True, help="The key of the member that this master is, not that of the home's own member.")
@forms("table", "json")
@common
def key(invocation: Invocation, *, server: bool) -> int:
    """Give this home's member a new key. What the old one signed stays true; from now on it signs nothing.

    The statement is signed by both keys. The old key is kept beside the new one, as member.<key id>.pem,
    and is good for nothing any more. A home with a certificate gets a new one. A running agent takes
    all of it up by itself. What was stopped half way is finished by doing it again.

    For example:
      ledger-cli rotate key
    """
    from ledger.client.rekeying import rotate_key  # noqa: PLC0415 - what the other commands need not load

    async def work() -> LedgerError | None:
        async with invocation.client() as client:
            rekeyed = await rotate_key(client, server=server)
            output.one(rekeyed.facts(), invocation.form)
            return rekeyed.problem

    problem = run(work())
    if problem is not None:
        output.note("the key is replaced; the home's certificate is not, and was revoked with the old key:")
        output.failure(problem)
        output.note("  then: ledger-cli rotate certificate")
    return 0


@click.command("log-key", cls=Command)
@click.option("--overlap", is_flag=True, help="One root only: both keys sign until the command is given again.")
@click.option("--stolen", is_flag=True, help="Close the old key with the root that opens the new one, and replace the clock key too.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a root that others must sign to this new file.")
@forms("table", "json", "jsonl")
@common
def log_key(invocation: Invocation, *, overlap: bool, stolen: bool, out: Path | None) -> None:
    """Replace the key that signs the log, in the master's home. The running master takes the new one up by itself.

    A first root lists both keys, and both sign; a second one closes the old key. Where this home's admin
    key is not enough, each root goes into a file for the ceremony: have it signed, publish it, and give
    the command again for the next. Receipts signed by the old key stay good.

    For example:
      ledger-cli rotate log-key
      ledger-cli rotate log-key --overlap
      ledger-cli rotate log-key --out root-2.json
    """
    from ledger.client.logkeys import LogKeyStep, rotate_log_key  # noqa: PLC0415 - what the other commands need not load

    async def work() -> list[LogKeyStep]:
        async with invocation.client() as client:
            return await rotate_log_key(client, overlap=overlap, stolen=stolen)

    steps = run(work())
    output.rows([step.facts() for step in steps if step.index is not None], ("version", "index", "open", "closed"), invocation.form)
    if steps[-1].file is None:
        return
    if out is None:
        raise UsageError("this home cannot sign the root alone", advice="Give --out FILE, have it signed (sign root), and publish it.")
    create_file(out, steps[-1].file.encode(), mode=0o644)
    output.note(f"root {steps[-1].version} drafted in {out}: have it signed (sign root), publish it (publish root), then give this again")
