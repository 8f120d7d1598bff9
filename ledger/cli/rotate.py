"""`rotate key`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from ledger.core.errors import LedgerError

ROTATE = """Replace a key or a certificate by a new one, while everything goes on.

For example:
  ledger-cli rotate key
"""


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "rotate", ROTATE)
    group.add_command(key)


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
