"""`revoke member`, `revoke invite`."""

from __future__ import annotations

from dataclasses import dataclass

import click

from . import output
from .asking import confirm, yes_option
from .operations import warn_of_unanswered
from .options import Invocation, common, run
from .options import output as forms
from .policies import as_root, report
from .verbs import Command, verb

REVOKE = """Take an identity out of the network. What it wrote before stays, and its history is kept.

For example:
  ledger-cli revoke member node-1
  ledger-cli revoke invite node-2
"""
dry = click.option("--dry-run", is_flag=True, help="Say whether it could be done, and do nothing.")


@dataclass(frozen=True, slots=True)
class Way:
    """How to revoke, as the options say."""

    dry_run: bool
    yes: bool
    as_root: bool


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "revoke", REVOKE)
    group.add_command(member)
    group.add_command(invite)


@click.command("member", cls=Command)
@click.argument("name")
@dry
@yes_option
@as_root
@forms()
@common
def member(invocation: Invocation, name: str, *, dry_run: bool, yes: bool, as_root: bool) -> int:
    """Drop a member: its tokens and streams end, its certificates are revoked, it never comes back.

    Nothing looks back: what its key wrote stays in force until others change it. To let the same
    machine in again, invite it anew.

    For example:
      ledger-cli revoke member node-1 --dry-run
      ledger-cli revoke member node-1 --yes
    """
    code = _revoke(invocation, ("member", name), Way(dry_run=dry_run, yes=yes, as_root=as_root))
    if not code and not dry_run:
        output.note(f"what {name} wrote stays: `ledger-cli get entries -o jsonl` shows it")
    return code


@click.command("invite", cls=Command)
@click.argument("name")
@dry
@yes_option
@as_root
@forms()
@common
def invite(invocation: Invocation, name: str, *, dry_run: bool, yes: bool, as_root: bool) -> int:
    """Drop every open invite of that name: their join tokens open nothing any more.

    An invite that was used is none any more: revoke the member then.

    For example:
      ledger-cli revoke invite node-2
    """
    return _revoke(invocation, ("invite", name), Way(dry_run=dry_run, yes=yes, as_root=as_root))


def _revoke(invocation: Invocation, who: tuple[str, str], way: Way) -> int:
    from ledger.client.revoking import named, revoke  # noqa: PLC0415 - what the other commands need not load

    kind, name = who

    async def work() -> int:
        async with invocation.client() as client:
            records = await named(client, kind, name)
            if not way.dry_run:
                confirm(f"Revoke the {kind} {name} for good?", yes=way.yes)
            code = report(await revoke(client, records, as_root=way.as_root, dry_run=way.dry_run), invocation.form)
            await warn_of_unanswered(client)
            return code

    return run(work())
