"""`create index`, `drop index`, `get indexes`, `explain query`: how queries of this home find what they ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from . import output
from .explain import explain
from .members import CREATE
from .options import Invocation, common, run
from .options import output as forms
from .policies import DROP
from .query import get
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COLUMNS = ("kind", "attribute", "by")


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    get.add_command(get_indexes)
    verb(cli, "create", CREATE).add_command(create_index)
    verb(cli, "drop", DROP).add_command(drop_index)
    explain.add_command(explain_query)


@click.command("index", cls=Command)
@click.argument("kind")
@click.argument("attribute")
@common
def create_index(invocation: Invocation, kind: str, attribute: str) -> None:
    """Index an attribute of a kind, in this home's copy of the ledger alone.

    Queries that compare it with = < > in or startswith need not look at every policy then. A schema that marks an attribute has it
    indexed in every copy. While a server keeps the copy, that makes the index, and takes no policies meanwhile.

    For example:
      ledger-cli create index operator net.ip
    """

    async def work() -> None:
        async with invocation.client() as client:
            await client.create_index(kind, attribute)

    run(work())
    output.note(f"{attribute} of {kind} is indexed")


@click.command("index", cls=Command)
@click.argument("kind")
@click.argument("attribute")
@common
def drop_index(invocation: Invocation, kind: str, attribute: str) -> None:
    """Drop an index that was made by hand.

    For example:
      ledger-cli drop index operator net.ip
    """

    async def work() -> None:
        async with invocation.client() as client:
            await client.drop_index(kind, attribute)

    run(work())
    output.note(f"{attribute} of {kind} is no longer indexed by hand")


@click.command("indexes", cls=Command)
@forms("table", "json", "jsonl")
@common
def get_indexes(invocation: Invocation) -> None:
    """Show the indexes of this home's copy, and whether a schema asks for them or they were made here.

    For example:
      ledger-cli get indexes
    """

    async def work() -> list[dict[str, object]]:
        async with invocation.client() as client:
            return await client.indexes()

    output.rows(run(work()), COLUMNS, invocation.form)


@click.command("query", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, metavar="QUERY")
@click.option("--at", metavar="SIZE|TIME", help="As it would be asked of this tree size, or of this time.")
@forms("table", "json")
@common
def explain_query(invocation: Invocation, words: Sequence[str], at: str | None) -> None:
    """Show how a query would be answered: by which index, or by looking at every policy. Nothing is asked.

    For example:
      ledger-cli explain query 'operator where port > 32000 and company = acme'
      ledger-cli explain query 'operator with (get cluster where id = [operator][cluster]) bring [local_ip]:[ip]'
    """

    async def work() -> dict[str, object]:
        async with invocation.client() as client:
            return await client.explain(words[0], " ".join(words[1:]), at=at)

    facts = run(work())
    if invocation.form == "json":
        output.one(facts, invocation.form)
    else:
        output.answer("\n".join(_lines(facts)))


def _lines(facts: Mapping[str, object]) -> list[str]:
    kinds = facts["kinds"]
    of = " ".join(kinds) if isinstance(kinds, list) and kinds else "every kind"
    if facts["scan"]:
        return [f"looks at every policy of {of}", *_steps(facts), *_then(facts)]
    found = facts["access"]
    how = [_access(access) for access in found if isinstance(access, dict)] if isinstance(found, list) else []
    return [f"looks at about {facts['candidates']} policies", *how, *_steps(facts), *_then(facts)]


def _then(facts: Mapping[str, object]) -> list[str]:
    then = facts["then"]
    return [f"then {step}" for step in then] if isinstance(then, list) else []


def _access(access: Mapping[str, object]) -> str:
    if access["by"] == "id":
        return f"  by id: {access['ids']}"
    keys = access["keys"]
    return f"  by the index {access['kind']} {access['attribute']}: {', '.join(keys) if isinstance(keys, list) else ''}"


def _steps(facts: Mapping[str, object]) -> list[str]:
    steps = facts["sqlite"]
    return [f"  sqlite: {step}" for step in steps] if isinstance(steps, list) else []
