"""`explain`: the attributes of a kind, as the network's schema has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.core.canonical import is_kind
from ledger.core.errors import UsageError

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.kinds import Explanation
    from ledger.kinds.explaining import Attribute

FORMS = ("table", "json", "jsonl")


class Kinds(Group):
    """Every word that is no command is a kind, or the path of an attribute of one."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a noun, or the one that explains the kind."""
        return super().get_command(ctx, cmd_name) or (_kind_command(cmd_name) if is_kind(cmd_name.split(".", maxsplit=1)[0]) else None)


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(explain)


@click.group(cls=Kinds, invoke_without_command=True, subcommand_metavar="[KIND[.ATTRIBUTE]] [OPTIONS]")
@forms(*FORMS)
@common
@click.pass_context
def explain(context: click.Context, invocation: Invocation) -> None:
    """Show what the network wants of a kind: its attributes, what must be unique, what refers to what.

    Without a kind, show the kinds that have a schema. docs/kinds.md has the ones that every network begins with.

    For example:
      ledger-cli explain
      ledger-cli explain operator
      ledger-cli explain cluster.table -o json
      ledger-cli explain kind query
    """
    if context.invoked_subcommand is None:
        run(_list_kinds(invocation))


@explain.command("kind")
@click.argument("name", metavar="KIND[.ATTRIBUTE]")
@forms(*FORMS)
@common
def explain_kind(invocation: Invocation, name: str) -> None:
    """Explain a kind whose name is a word of this command.

    For example:
      ledger-cli explain kind query
      ledger-cli explain kind operator.port
    """
    if not is_kind(name.split(".", maxsplit=1)[0]):
        raise UsageError(f"{name!r} begins with no kind", advice="A kind is a letter, then letters, digits, _ or -; at most 64.")
    run(_explain(invocation, name))


def _kind_command(name: str) -> click.Command:
    @click.command(name, cls=Command, help=f"Explain {name}.\n\nFor example:\n  ledger-cli explain {name} -o json")
    @forms(*FORMS)
    @common
    def command(invocation: Invocation) -> None:
        run(_explain(invocation, name))

    return command


async def _list_kinds(invocation: Invocation) -> None:
    async with invocation.client() as client:
        found = [{"kind": one.kind, "schema": one.schema, "description": one.description} for one in await client.kinds.all()]
    output.rows(found, ("kind", "schema", "description"), invocation.form)


async def _explain(invocation: Invocation, name: str) -> None:
    kind, _, path = name.partition(".")
    async with invocation.client() as client:
        found = await client.kinds.explain(kind)
    attributes = found.attribute(path) if path else list(found.attributes)
    if invocation.form != "table":
        output.one(attributes[0].facts() if path else found.facts(), invocation.form)
        return
    lines = [line for one in attributes for line in _lines(one)]
    output.answer("\n".join(lines if path else [*_heading(found), *lines, *_ending(found)]))


def _heading(found: Explanation) -> Iterator[str]:
    yield f"{found.kind} ({found.schema})"
    if found.description:
        yield f"  {output.line(found.description)}"
    yield ""
    for names in found.unique:
        yield output.line(f"unique: {', '.join(names)}")
    for ref in found.refs:
        kept = "; not dropped while it is referred to" if ref["drop"] == "refuse" else ""
        yield output.line(f"refers: {ref['attr']} is the id of a live {ref['kind']}{kept}")
    yield from (f"rule: {rule}" for rule in found.rules)
    yield ""
    yield "attributes (* must be there)" + ("" if not found.closed else "; no others are taken")


def _lines(attribute: Attribute) -> Iterator[str]:
    default = "" if attribute.default is None else f", {output.cell(attribute.default)} when it is left out"
    yield "  " + output.line(f"{attribute.name}{'*' if attribute.required else ''}: {attribute.wants}{default}")
    if attribute.description:
        yield "      " + output.line(attribute.description)


def _ending(found: Explanation) -> Iterator[str]:
    if found.example is not None:
        yield ""
        yield "example"
        yield output.as_json({found.kind: found.example})
