"""`get operations`, `retry operation`, `drop operation`: the journal of this home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .policies import DROP, report
from .query import get
from .verbs import Command, verb

if TYPE_CHECKING:
    from ledger.client.answers import Published
    from ledger.client.client import LedgerClient

RETRY = """Try again what was refused or has not arrived.

For example:
  ledger-cli retry operation 7
"""
COLUMNS = ("operation", "state", "op", "kind", "id", "reason")


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    get.add_command(get_operations)
    verb(cli, "retry", RETRY).add_command(retry_operation)
    verb(cli, "drop", DROP).add_command(drop_operation)


@click.command("operations", cls=Command)
@click.option("--all", "everything", is_flag=True, help="Show what was delivered lately, too.")
@forms("table", "json", "jsonl")
@common
def get_operations(invocation: Invocation, everything: bool) -> None:
    """Show what this home has signed and the ledger has not taken: queued, sent without an answer, refused (dead).

    A signed statement can still be taken by whoever has it, until its id has another version. So what was published without
    an answer is listed (target unqueued) until a sync shows it, or that its id has moved on.

    For example:
      ledger-cli get operations
      ledger-cli get operations --all -o json
    """

    async def work() -> list[dict[str, object]]:
        async with invocation.client() as client:
            return await client.operations(everything=everything)

    found = run(work())
    output.rows(found, COLUMNS, invocation.form)
    output.note(f"{len(found)} {'operation' if len(found) == 1 else 'operations'}")


async def warn_of_unanswered(client: LedgerClient) -> None:
    """Say that statements of this home have no answer yet: to whom it matters, who changes or takes away a key."""
    number = sum(one["state"] == "sent" for one in await client.operations())
    if number:
        output.note(f"{number} signed {'statement' if number == 1 else 'statements'} of this home without an answer may still be taken,")
        output.note("  until the ids have other versions or the key that signed counts no more: ledger-cli sync; ledger-cli get operations")


@click.command("operation", cls=Command)
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@forms()
@common
def retry_operation(invocation: Invocation, number: int) -> int:
    """Deliver an operation now. One that another version outran, or whose key was replaced, is signed anew.

    For example:
      ledger-cli retry operation 7
    """

    async def work() -> Published:
        async with invocation.client() as client:
            return await client.retry_operation(number)

    return report([run(work())], invocation.form)


@click.command("operation", cls=Command)
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@forms("table", "json")
@common
def drop_operation(invocation: Invocation, number: int) -> None:
    """Forget an operation that is queued or dead, or has no answer; one that the queue sent may have arrived, and stays.

    For example:
      ledger-cli drop operation 7
    """

    async def work() -> dict[str, object]:
        async with invocation.client() as client:
            return await client.drop_operation(number)

    facts = run(work())
    output.one(facts, invocation.form)
    if facts["attempts"]:
        output.note(f"whoever saw this statement can still publish it, until {facts['id']} has another version")
