"""`get`: policies by kind and condition, and the reserved nouns beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.errors import UsageError

from . import output
from .options import Invocation, common, run
from .options import output as forms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a query: as of when, and how old at most, in seconds."""

    at: str | None
    max_age: float | None


class Nouns(click.Group):
    """Reserved nouns are commands; every other word is a kind."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a noun, or the query for a kind of that name."""
        return super().get_command(ctx, cmd_name) or _query_command(cmd_name)


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(get)


@click.group(cls=Nouns)
def get() -> None:
    r"""Show what the ledger holds.

    \b
    Examples:
      ledger-cli get operator where company = acme and port = 32148
      ledger-cli get all -o json
      ledger-cli get policy ID
      ledger-cli get receipt ID -o proof.tlog-proof
      ledger-cli get entries --from 0 --to 10
    """


def _query_command(kind: str) -> click.Command:
    @click.command(kind, context_settings={"ignore_unknown_options": True}, help=f"Show live policies of kind {kind}.")
    @click.argument("words", nargs=-1)
    @click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
    @click.option("--max-age", type=float, metavar="SECONDS", help="Fail when what is known is older.")
    @forms()
    @common
    def query(invocation: Invocation, words: Sequence[str], at: str | None, max_age: float | None) -> None:
        run(_query(invocation, kind, " ".join(words), Asked(at, max_age)))

    return query


@get.command("kind")
@click.argument("kind")
@click.argument("words", nargs=-1)
@click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
@click.option("--max-age", type=float, metavar="SECONDS", help="Fail when what is known is older.")
@forms()
@common
def get_kind(invocation: Invocation, kind: str, words: Sequence[str], at: str | None, max_age: float | None) -> None:
    """Show live policies of a kind whose name is a reserved word here."""
    run(_query(invocation, kind, " ".join(words), Asked(at, max_age)))


async def _query(invocation: Invocation, kind: str, clause: str, asked: Asked) -> None:
    async with invocation.client() as client:
        answer = await client.get(kind, clause, at=asked.at, max_age=asked.max_age)
    found = answer.policies
    if invocation.form == "table":
        output.answer(_policy_table(found) if found else "nothing found")
    elif found or invocation.form == "json":
        output.answer(
            output.rows([{"id": _content(policy)["id"]} for policy in found] if invocation.form == "id" else found, (), invocation.form)
        )
    output.note(answer.remark())


def _content(policy: Mapping[str, object]) -> Mapping[str, object]:
    (content,) = policy.values()
    if not isinstance(content, dict):
        raise UsageError("a policy holds an object")
    return content


def _policy_table(found: Sequence[Mapping[str, object]]) -> str:
    contents = [{"kind": kind, **_content(policy)} for policy in found for kind in policy]
    count: dict[str, int] = {}
    for content in contents:
        for name, value in content.items():
            if name not in {"id", "kind", "ledger", "date"} and not isinstance(value, dict | list):
                count[name] = count.get(name, 0) + 1
    common_names = sorted(count, key=lambda name: -count[name])[:MAX_COLUMNS]
    kinds = ("kind",) if len({str(content["kind"]) for content in contents}) > 1 else ()
    return output.table(("id", *kinds, *common_names), contents)


@get.command("policy")
@click.argument("policy_id", metavar="ID")
@click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
@forms("json", "jsonl", "id", default="json")
@common
def get_policy(invocation: Invocation, policy_id: str, at: str | None) -> None:
    """Show one live policy by its id."""

    async def work() -> None:
        async with invocation.client() as client:
            policy = await client.policy(policy_id, at=at)
            form = invocation.form
            output.answer(policy_id if form == "id" else output.as_json(policy) if form == "json" else output.as_line(policy))

    run(work())


@get.command("invites")
@forms()
@common
def get_invites(invocation: Invocation) -> None:
    """Show the invites that are still open."""

    async def work() -> None:
        async with invocation.client() as client:
            found = [dict(_content(policy)) for policy in (await client.get("invite", "")).policies]
            output.answer(output.rows(found, ("id", "name", "type", "expires"), invocation.form))

    run(work())


@get.command("receipt")
@click.argument("wanted", metavar="ID|DIGEST")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead of to stdout.")
@common
def get_receipt(invocation: Invocation, wanted: str, path: Path | None) -> None:
    """Fetch the receipt (C2SP tlog-proof with the entry inside) of a policy's present version, or of a digest."""

    async def work() -> bytes:
        async with invocation.client() as client:
            return await client.receipt(wanted)

    receipt = run(work())
    if path is None:
        output.raw(receipt)
    else:
        path.write_bytes(receipt)
        output.note(f"receipt written to {path}")


@get.command("entries")
@click.option("--from", "start", type=click.IntRange(min=0), default=0, show_default=True, help="First index.")
@click.option("--to", "end", type=click.IntRange(min=0), help="First index not shown; default: the end.")
@forms("table", "json", "jsonl")
@common
def get_entries(invocation: Invocation, start: int, end: int | None) -> None:
    """Show entries of the log: what was signed, by whom, in force or void."""
    run(_entries(invocation, start, end))


@get.command("entry")
@click.argument("index", type=click.IntRange(min=0))
@forms("json", "jsonl", default="json")
@common
def get_entry(invocation: Invocation, index: int) -> None:
    """Show one entry of the log."""

    async def work() -> None:
        async with invocation.client() as client:
            (entry,) = await client.entries(index, index + 1)
            output.answer(output.one(entry.facts(whole=True), invocation.form))

    run(work())


async def _entries(invocation: Invocation, start: int, end: int | None) -> None:
    async with invocation.client() as client:
        found = [entry.facts(whole=invocation.form != "table") for entry in await client.entries(start, end)]
    output.answer(output.rows(found, ("index", "op", "kind", "id", "by", "iat", "verdict"), invocation.form))


@get.command("void")
@forms("table", "json", "jsonl")
@common
def get_void(invocation: Invocation) -> None:
    """Show the entries that are in the log without effect, and why."""

    async def work() -> None:
        async with invocation.client() as client:
            found = [entry.facts() for entry in await client.void()]
            output.answer(
                output.rows(found, ("index", "kind", "id", "verdict", "reason"), invocation.form) if found else _none(invocation.form)
            )

    run(work())


def _none(form: str) -> str:
    return "[]" if form == "json" else "no void entries" if form == "table" else ""
