"""`publish policy`, `patch policy`, `drop policy`, `history`, `watch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.canonical import load
from ledger.core.errors import EXIT_CODE, FormatError, UsageError, lookup

from . import output
from .documents import read_documents, read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.answers import Published
    from ledger.core.canonical import JSON

MANY = 20
expect = click.option("--expect", metavar="DIGEST", help="Only if this is the present version (compare-and-set).")
as_root = click.option("--as-root", is_flag=True, help="Sign with the home's root admin key instead of the member's.")


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verb(cli, "publish", "Sign and publish.").add_command(publish_policy)
    verb(cli, "patch", "Change a part of what is published.").add_command(patch_policy)
    verb(cli, "drop", "Take something out of force; its history stays.").add_command(drop_policy)
    cli.add_command(history)
    cli.add_command(watch)


@click.command("policy")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--receipt-dir", type=click.Path(path_type=Path, file_okay=False), help="Write each receipt there, as ID.tlog-proof.")
@click.option("--dry-run", is_flag=True, help="Check everything and send nothing.")
@click.option("--wait", is_flag=True, help="Return when the local replica has it.")
@expect
@as_root
@forms()
@common
def publish_policy(invocation: Invocation, files: Sequence[str], receipt_dir: Path | None, expect: str | None, **flags: bool) -> int:
    r"""Sign policies and publish them; - reads standard input.

    A file holds one JSON object, an array, or one object a line. A policy without id gets the id that
    follows from its content. A policy that is in force as given is not published again.

    \b
    Examples:
      ledger-cli publish policy site.json
      ledger-cli publish policy *.json --receipt-dir receipts
      echo '{"site": {"name": "Oslo"}}' | ledger-cli publish policy -
    """
    policies = read_documents(files)
    if expect is not None and len(policies) != 1:
        raise UsageError("--expect names the version of one policy; publish it alone")
    if receipt_dir is not None:
        receipt_dir.mkdir(parents=True, exist_ok=True)
    return run(_publish(invocation, policies, receipt_dir, expect, flags))


async def _publish(
    invocation: Invocation, policies: Sequence[JSON], receipt_dir: Path | None, expected: str | None, flags: dict[str, bool]
) -> int:
    results: list[Published] = []
    async with invocation.client() as client:
        with output.progress(len(policies), "publishing", show=len(policies) >= MANY) as advance:
            async for result in client.publish(policies, expect=expected, dry_run=flags["dry_run"], as_root=flags["as_root"]):
                results.append(result)
                if receipt_dir is not None and result.receipt is not None:
                    (receipt_dir / f"{result.id}.tlog-proof").write_bytes(result.receipt)
                advance(1)
        if flags["wait"]:
            await client.sync()
    return report(results, invocation.form)


def report(results: Sequence[Published], form: str) -> int:
    """Print what became of each policy; return the exit code of the worst."""
    good = [result for result in results if result.error is None]
    if form == "table" and len(good) > MANY:
        output.note(f"{len(good)} policies: index {good[0].index} to {good[-1].index}")
    elif good or form == "json":
        output.answer(output.rows([result.facts() for result in good], ("id", "kind", "index", "result"), form))
    worst = 0
    for result in results:
        if result.error is not None:
            output.note(f"error: {result.kind} {result.id}: {result.error.message} [{result.error.code}]")
            output.note(f"  {result.error.hint}")
            worst = max(worst, lookup(EXIT_CODE, result.error))
    return worst


@click.command("policy")
@click.argument("policy_id", metavar="ID")
@click.argument("patch", metavar="FILE|JSON")
@expect
@as_root
@forms()
@common
def patch_policy(invocation: Invocation, policy_id: str, patch: str, expect: str | None, as_root: bool) -> int:
    r"""Merge a patch into a policy (RFC 7396): null removes an attribute, lists are replaced whole.

    \b
    Example:
      ledger-cli patch policy 4e0c… '{"status": "inactive", "note": null}'
    """
    change = load(patch.encode() if patch.lstrip().startswith("{") else read_source(patch))
    if not isinstance(change, dict):
        raise FormatError("a patch is a JSON object")

    async def work() -> int:
        async with invocation.client() as client:
            return report([await client.patch(policy_id, change, expect=expect, as_root=as_root)], invocation.form)

    return run(work())


@click.command("policy")
@click.argument("policy_id", metavar="ID")
@expect
@as_root
@forms()
@common
def drop_policy(invocation: Invocation, policy_id: str, expect: str | None, as_root: bool) -> int:
    """Take a policy out of force. Its history stays; publishing the id again brings it back."""

    async def work() -> int:
        async with invocation.client() as client:
            return report([await client.drop(policy_id, expect=expect, as_root=as_root)], invocation.form)

    return run(work())


@click.command()
@click.argument("policy_id", metavar="ID")
@forms("table", "json", "jsonl")
@common
def history(invocation: Invocation, policy_id: str) -> None:
    """Show every version of a policy: who changed it, when, and where it stands in the log."""

    async def work() -> None:
        async with invocation.client() as client:
            versions = [version.facts() for version in await client.history(policy_id)]
            output.answer(output.rows(versions, ("index", "op", "by", "iat", "digest"), invocation.form))

    run(work())


@click.command()
@click.argument("kind", required=False)
@forms("table", "jsonl")
@common
def watch(invocation: Invocation, kind: str | None) -> None:
    """Show changes as they come, of one kind or of all; Ctrl-C ends it."""

    async def work() -> None:
        async with invocation.client() as client:
            async for change in client.watch():
                if kind in (None, "all", change.kind):
                    facts = change.facts()
                    line = (
                        output.as_line(facts)
                        if invocation.form == "jsonl"
                        else f"{change.index}  {change.op:5}  {change.kind}  {change.id}"
                    )
                    output.answer(line)

    run(work())
