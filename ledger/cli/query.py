"""`get`: policies by kind and condition, and the reserved nouns beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.canonical import is_kind
from ledger.core.errors import UsageError
from ledger.home.files import write_file

from . import brought, output
from .options import Invocation, common, run
from .options import output as forms
from .policytable import policy_table
from .verbs import Command, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

# Nouns of `get` that have a meaning of their own now or later: a kind of such a name is reached by `get kind NAME`.
RESERVED = frozenset({"mirror", "mirrors", "operation"})


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a query: as of when, how old at most (in seconds), and whether with what waits in the queue."""

    at: str | None
    max_age: float | None
    local: bool


local_option = click.option("--local", is_flag=True, help="Show what waits in this home's queue, too, as if it were in force.")


class Nouns(Group):
    """Reserved nouns are commands; every other word is a kind."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a noun, or the query for a kind of that name or that begins with it; None for what is neither."""
        is_query = is_kind(cmd_name) or cmd_name.startswith(("(", "*")) or " " in cmd_name
        return super().get_command(ctx, cmd_name) or (_query_command(cmd_name) if is_query else None)


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(get)


@click.group(cls=Nouns, subcommand_metavar="KIND|all|NOUN [where ...] [OPTIONS]")
def get() -> None:
    """Show what the ledger holds: policies of a kind, of all kinds, or one of the nouns below.

    Answers come from this home's verified copy and say on stderr which tree size they are of; with --ledger, from that
    ledger. docs/query.md has the language.

    For example:
      ledger-cli get operator where company = acme and port = 32148
      ledger-cli get operator where name = '"ACME Metering"'
      ledger-cli get operator where company = acme bring.table [name] [ip] [port]
      ledger-cli get operator bring.ip_port
      ledger-cli get 'operator with (get cluster where id = [operator][cluster]) bring [operator][name] : [cluster][name]'
      ledger-cli get uns where name = plant bring.tree
      ledger-cli get root policies
      ledger-cli get all -o json
      ledger-cli get '(operator, query) bring [*][name] : [*][port]'
      ledger-cli get site --at 2026-01-31T12:00:00Z
      ledger-cli get policy ID
      ledger-cli get receipt ID -o proof.tlog-proof
      ledger-cli get entries --from 0 --to 10
    """


def _query_command(kind: str) -> click.Command:
    @click.command(
        kind,
        cls=Command,
        context_settings={"ignore_unknown_options": True},
        help=f"Show live policies of kind {kind}.\n\nFor example:\n  ledger-cli get {kind} where name = acme -o json",
    )
    @click.argument("words", nargs=-1, metavar="[where ...] [bring ...]")
    @click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
    @click.option("--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Fail when what is known is older.")
    @local_option
    @forms(default=None)
    @common
    def query(invocation: Invocation, words: Sequence[str], at: str | None, max_age: float | None, local: bool) -> None:
        if kind in RESERVED:
            raise UsageError(f"{kind} is a reserved word of get", advice=f"Policies of that kind: `ledger-cli get kind {kind}`.")
        run(ask(invocation, kind, " ".join(words), Asked(at, max_age, local)))

    return query


@get.command("kind", context_settings={"ignore_unknown_options": True})
@click.argument("kind")
@click.argument("words", nargs=-1, metavar="[where ...] [bring ...]")
@click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
@click.option("--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Fail when what is known is older.")
@local_option
@forms(default=None)
@common
def get_kind(invocation: Invocation, kind: str, words: Sequence[str], *, at: str | None, max_age: float | None, local: bool) -> None:
    """Show live policies of a kind whose name is a reserved word here.

    For example:
      ledger-cli get kind policy where name = acme
    """
    if not is_kind(kind):
        raise UsageError(f"{kind!r} is no kind", advice="A kind is a letter, then letters, digits, _ or -; at most 64.")
    run(ask(invocation, kind, " ".join(words), Asked(at, max_age, local)))


async def ask(invocation: Invocation, kind: str, clause: str, asked: Asked) -> None:
    """Ask for policies of a kind and print them."""
    _refuse_past(asked.at, local=asked.local)
    async with invocation.client() as client:
        if asked.local:
            answer = await client.get_local(kind, clause, max_age=asked.max_age)
        else:
            answer = await client.get(kind, clause, at=asked.at, max_age=asked.max_age)
    found, form = answer.policies, invocation.form
    if answer.brought is not None:
        brought.show(answer.brought, form if invocation.form_given else None)
    elif form == "table" and found:
        output.answer(policy_table(found))
    elif form == "id":
        output.rows([{"id": brought.policy_id(policy)} for policy in found], (), form)
    elif form != "table":
        output.rows(found, (), form)
    for cycle in answer.cycles:
        output.note(f"warning: these policies stand below each other in a circle: {' > '.join((*cycle, cycle[0]))}")
    output.note(answer.remark())


def _refuse_past(at: str | None, *, local: bool) -> None:
    if local and at is not None:
        raise UsageError("what waits in the queue is not of the past", advice="Give --at or --local, not both.")


@get.command("policy")
@click.argument("policy_id", metavar="ID")
@click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
@local_option
@forms("json", "jsonl", "id", default="json")
@common
def get_policy(invocation: Invocation, policy_id: str, at: str | None, local: bool) -> None:
    """Show one live policy by its id. Exits 1 when there is none.

    For example:
      ledger-cli get policy ID --at 1200
    """
    _refuse_past(at, local=local)

    async def work() -> None:
        async with invocation.client() as client:
            policy = await client.policy(policy_id, at=at, local=local)
            output.one({"id": policy_id} if invocation.form == "id" else policy, invocation.form)

    run(work())


@get.command("invites")
@forms()
@common
def get_invites(invocation: Invocation) -> None:
    """Show the invites that are still open: not used, not revoked, not over.

    For example:
      ledger-cli get invites
    """

    async def work() -> None:
        async with invocation.client() as client:
            found = await client.invites()
        output.rows(found, ("id", "name", "type", "expires"), invocation.form)

    run(work())


@get.command("receipt")
@click.argument("wanted", metavar="ID|DIGEST")
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="Write it there, not to stdout."
)
@common
def get_receipt(invocation: Invocation, wanted: str, path: Path | None) -> None:
    """Fetch the receipt of a policy's present version, or of a digest: a C2SP tlog-proof with the entry inside.

    For example:
      ledger-cli get receipt ID -o proof.tlog-proof
    """

    async def work() -> bytes:
        async with invocation.client() as client:
            return await client.receipt(wanted)

    receipt = run(work())
    if path is None or str(path) == "-":
        output.raw(receipt)
    else:
        write_file(path, receipt, mode=0o644)
        output.note(f"receipt written to {path}")


@get.command("entries")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, show_default=True, help="First index.")
@click.option("--to", "end", type=click.IntRange(min=0), help="First index not shown; default: the end.")
@forms("table", "json", "jsonl")
@common
def get_entries(invocation: Invocation, start: int, end: int | None) -> None:
    """Show entries of the log: what was signed, by whom, in force or void.

    For example:
      ledger-cli get entries --from 100 --to 110 -o jsonl
    """

    async def work() -> None:
        async with invocation.client() as client:
            found = [entry.facts(whole=invocation.form != "table") for entry in await client.entries(start, end)]
        output.rows(found, ("index", "op", "kind", "id", "by", "iat", "verdict"), invocation.form)

    run(work())


@get.command("entry")
@click.argument("index", type=click.IntRange(min=0))
@forms("json", "jsonl", default="json")
@common
def get_entry(invocation: Invocation, index: int) -> None:
    """Show one entry of the log. Exits 1 when there is none of that index.

    For example:
      ledger-cli get entry 12
    """

    async def work() -> None:
        async with invocation.client() as client:
            (entry,) = await client.entries(index, index + 1)
        output.one(entry.facts(whole=True), invocation.form)

    run(work())


@get.command("void")
@forms("table", "json", "jsonl")
@common
def get_void(invocation: Invocation) -> None:
    """Show the entries that are in the log without effect, and why.

    For example:
      ledger-cli get void -o json
    """

    async def work() -> None:
        async with invocation.client() as client:
            found = [entry.facts() for entry in await client.void()]
        output.rows(found, ("index", "kind", "id", "code", "reason"), invocation.form)
        output.note(f"{len(found)} void {'entry' if len(found) == 1 else 'entries'}")

    run(work())
