"""`diff policy`, `history`, `get permissions`: what changed, who changed it, who might do what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.core.difference import ADD, REMOVE
from ledger.core.errors import UsageError

from . import output, query
from .options import Invocation, common, run
from .options import output as forms
from .query import Asked, get, local_option
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ledger.client.past import Right, Rights
    from ledger.core.canonical import JSON
    from ledger.core.difference import Difference

SIGNS: Mapping[str, str] = {ADD: "+", REMOVE: "-"}
CHANGED = "~"
DIFF = """Show what differs.

For example:
  ledger-cli diff policy ID
"""


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root, and the noun under `get`."""
    verb(cli, "diff", DIFF).add_command(diff_policy)
    cli.add_command(history)
    get.add_command(get_permissions)


@click.command("policy", cls=Command)
@click.argument("policy_id", metavar="ID")
@click.option("--from", "before", metavar="SIZE|TIME|DIGEST", help="The one to compare with.  [default: the version before]")
@click.option("--to", "after", metavar="SIZE|TIME|DIGEST", help="The one to compare.  [default: the last version]")
@forms("table", "json", "jsonl")
@common
def diff_policy(invocation: Invocation, policy_id: str, before: str | None, after: str | None) -> None:
    """Show what differs between two versions of a policy, attribute by attribute.

    A place is a tree size, a time, or the digest of a version. Lines begin with + for what was added, - for what
    was removed, ~ for what has another value; names are JSON pointers.

    For example:
      ledger-cli diff policy ID
      ledger-cli diff policy ID --from 1200
      ledger-cli diff policy ID --from 2026-01-31T12:00:00Z --to 2026-02-28T12:00:00Z -o json
    """

    async def work() -> None:
        async with invocation.client() as client:
            found = await client.diff(policy_id, before=before, after=after)
        if invocation.form != "table":
            output.one(found.facts(), invocation.form)
            return
        if found.changes:
            output.answer("\n".join(map(_change, found.changes)))
        sides = [f"index {side.index}" if side is not None else "not there" for side in (found.before, found.after)]
        output.note(f"{found.kind} {found.id}: {sides[0]} to {sides[1]}, {len(found.changes)} different")

    run(work())


def _change(change: Difference) -> str:
    values = [output.as_line(value) for value in (change.before, change.after)]
    shown = {ADD: values[1], REMOVE: values[0]}.get(change.op, " → ".join(values))
    return output.line(f"{SIGNS.get(change.op, CHANGED)} {change.path or '/'} {shown}")


def paths(changes: Iterable[Difference]) -> str:
    """Return which attributes changes are of, in one line."""
    return " ".join(f"{SIGNS.get(change.op, CHANGED)}{change.path or '/'}" for change in changes)


@click.command(cls=Command)
@click.argument("policy_id", metavar="ID")
@forms("table", "json", "jsonl")
@common
def history(invocation: Invocation, policy_id: str) -> None:
    """Show every version of a policy: who changed what, when, and where it stands in the log.

    In `changed`, + is an attribute that was added, - one that was removed, ~ one with another value.

    For example:
      ledger-cli history ID
      ledger-cli history ID -o json
    """

    async def work() -> None:
        async with invocation.client() as client:
            versions = await client.history(policy_id)
        shown = [version.facts() for version in versions]
        if invocation.form == "table":
            shown = [{**facts, "changed": paths(version.changes)} for facts, version in zip(shown, versions, strict=True)]
        output.rows(shown, ("index", "op", "by", "iat", "changed", "digest"), invocation.form)

    run(work())


@click.command("permissions", cls=Command, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, metavar="[where ...] [bring ...]")
@click.option("--of", "member", metavar="NAME", help="Those that a member has, and why.")
@click.option("--at", metavar="SIZE|TIME", help="As it was at this tree size, or at this time.")
@click.option("--max-age", type=click.FloatRange(min=0), metavar="SECONDS", help="Fail when what is known is older.")
@local_option
@forms(default=None)
@common
def get_permissions(
    invocation: Invocation, words: Sequence[str], *, member: str | None, at: str | None, max_age: float | None, local: bool
) -> None:
    """Show permissions; with --of, what a member may do: which permissions it has, and by which policies.

    For example:
      ledger-cli get permissions
      ledger-cli get permissions --of node-1
      ledger-cli get permissions --of node-1 --at 2026-01-31T12:00:00Z -o json
    """
    if member is None:
        run(query.ask(invocation, "permissions", " ".join(words), Asked(at, max_age, local)))
        return
    if words or local or max_age is not None:
        raise UsageError("--of goes with --at and nothing else", advice="Leave the condition and the other options out.")

    async def work() -> None:
        async with invocation.client() as client:
            found = await client.rights(member, at=at)
        if invocation.form == "table":
            output.rows(list(_rows(found)), ("may", "kinds", "of", "permissions", "because"), invocation.form)
        else:
            output.rows([right.facts() for right in found.rights], (), invocation.form)
        body = found.member.content
        output.note(f"{output.line(str(body['name']))} ({body['type']}) at size {found.size}: {len(found.rights)} permissions")

    run(work())


def _rows(found: Rights) -> Iterator[Mapping[str, object]]:
    """Yield a line for each thing that the member may do."""
    for right in found.rights:
        body = right.permissions.content
        why = {"permissions": right.permissions.id, "because": _because(found, right)}
        for allow in _items(body["allow"]):
            if isinstance(allow, dict):
                yield {"may": _joined(allow["ops"]), "kinds": _joined(allow["kinds"]), "of": _scope(allow["scope"]), **why}
        if body["grant"]:
            yield {"may": "grant", "kinds": _joined(body["grant"]), "of": "", **why}
        if not body["allow"] and not body["grant"]:
            yield {"may": "read", "kinds": "", "of": "", **why}


def _because(found: Rights, right: Right) -> str:
    own = ["its own policy"] if found.member.id in right.given_by else []
    return ", ".join([*own, *(f"assignment {one}" for one in right.given_by if one != found.member.id)])


def _scope(scope: JSON) -> str:
    rules = scope if isinstance(scope, dict) else {}
    attr = rules.get("attr")
    only = [f"{name} {' or '.join(map(str, _items(values)))}" for name, values in attr.items()] if isinstance(attr, dict) else []
    return ", ".join([*(["its own"] if "own" in rules else []), *only]) or "anyone"


def _joined(value: JSON) -> str:
    return ", ".join(map(str, _items(value)))


def _items(value: JSON) -> list[JSON]:
    return value if isinstance(value, list) else []
