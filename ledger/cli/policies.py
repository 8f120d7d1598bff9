"""`publish policy`, `patch policy`, `drop policy`, `watch`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.canonical import is_hex64, load
from ledger.core.errors import EXIT_CODE, FormatError, LedgerError, UnavailableError, UsageError, lookup
from ledger.home.files import write_file

from . import output
from .asking import confirm, yes_option
from .documents import parse_document, read_documents, read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.answers import Change, Published
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSON, JSONObject

MANY = 20
RECEIPT_SUFFIX = ".tlog-proof"


class Digest(click.ParamType[str]):
    """The digest of a statement: 64 hex digits, as `publish`, `history` and `get receipt` show it."""

    name = "digest"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the digest."""
        text = str(value)
        if not is_hex64(text):
            self.fail(f"{text!r} is no digest: 64 lower-case hex digits, as `ledger-cli history ID` shows them", param, ctx)
        return text


expect = click.option("--expect", type=Digest(), metavar="DIGEST", help="Only if this is the present version (compare-and-set).")
as_root = click.option("--as-root", is_flag=True, help="Sign with the home's root admin key instead of the member's.")


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verb(cli, "publish", PUBLISH).add_command(publish_policy)
    verb(cli, "patch", PATCH).add_command(patch_policy)
    verb(cli, "drop", DROP).add_command(drop_policy)
    cli.add_command(watch)


PUBLISH = """Sign and publish.

For example:
  ledger-cli publish policy site.json
"""
PATCH = """Change a part of what is published.

For example:
  ledger-cli patch policy ID '{"status": "inactive", "note": null}'
"""
DROP = """Take something out of force; its history stays.

For example:
  ledger-cli drop policy ID
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How to publish, as the options say."""

    receipt_dir: Path | None
    expect: str | None
    dry_run: bool
    wait: bool
    as_root: bool
    queue: bool
    yes: bool


@click.command("policy", cls=Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--receipt-dir", type=click.Path(path_type=Path, file_okay=False), help="Write each receipt there, as ID.tlog-proof.")
@click.option("--dry-run", is_flag=True, help="Check everything against the local copy and send nothing.")
@click.option("--wait", is_flag=True, help="Return when the local replica has it.")
@click.option("--queue", is_flag=True, help="If the ledger cannot be reached, keep them in this home and deliver them later.")
@yes_option
@expect
@as_root
@forms()
@common
def publish_policy(
    invocation: Invocation,
    files: Sequence[str],
    *,
    receipt_dir: Path | None,
    dry_run: bool,
    wait: bool,
    queue: bool,
    expect: str | None,
    as_root: bool,
    yes: bool,
) -> int:
    """Sign policies and publish them; - reads standard input.

    A file holds one JSON object, an array, or one object a line. A policy without id gets the id that
    follows from its content. A policy that is in force as given is not published again. Each receipt is
    checked before its policy is reported. Of a ledger that cannot be reached nothing is kept, unless --queue is
    given: then they are delivered by the agent of this home, or by its next publish or sync.

    What breaks the schema of its kind is named, attribute by attribute, and then nothing is sent. A new schema
    that live policies break is reported before it is signed.

    For example:
      ledger-cli publish policy site.json
      ledger-cli publish policy *.json --receipt-dir receipts
      ledger-cli publish policy site.json --expect 5e93…
      ledger-cli publish policy site.json --queue
      echo '{"site": {"name": "Oslo"}}' | ledger-cli publish policy -
    """
    policies = read_documents(files)
    if not policies:
        output.note("there is nothing to publish: the list is empty")
    if expect is not None and len(policies) != 1:
        raise UsageError("--expect names the version of one policy", advice="Publish it alone.")
    if queue and dry_run:
        raise UsageError("--dry-run sends nothing, so there is nothing to queue", advice="Leave one of the two out.")
    if receipt_dir is not None and not dry_run:
        receipt_dir.mkdir(parents=True, exist_ok=True)
    return run(_publish(invocation, policies, Plan(receipt_dir, expect, dry_run, wait, as_root, queue, yes)))


async def _publish(invocation: Invocation, policies: Sequence[JSON], plan: Plan) -> int:
    results: list[Published] = []
    async with invocation.client() as client:
        await _tell_breaks(client, policies, yes=plan.yes or plan.dry_run)
        try:
            if not plan.dry_run:
                await deliver_first(client, forgiving=plan.queue)
            await _publish_all(client, policies, plan, results)
        except LedgerError as error:
            if results:
                output.note(f"{len(results)} of {len(policies)} policies were answered before this:")
                report(results, invocation.form)
            else:
                _show_faulty(error, invocation.form)
            raise
        if plan.wait and not plan.dry_run and not any(result.result == "queued" for result in results):
            await client.sync()
    return report(results, invocation.form)


def _show_faulty(error: LedgerError, form: str) -> None:
    """Print the policies that broke the rules of their kinds, in the form of results; nothing in a table, as stderr names the faults."""
    policies = error.context.get("policies")
    if form not in ("json", "jsonl") or not isinstance(policies, list):
        return
    names = {"index": None, "digest": None, "result": "refused"}
    refusal = {"code": error.code, "message": error.message}
    found = [{"id": one["id"], "kind": one["kind"], **names, "error": {**refusal, "faults": one["faults"]}} for one in policies]
    output.rows(found, (), form)


async def _tell_breaks(client: LedgerClient, policies: Sequence[JSON], *, yes: bool) -> None:
    """Say which live policies the schemas among these would refuse, before one is signed; ask whoever sits there."""
    found = await client.breaks(policies)
    for one in found:
        output.note(f"warning: {one.count} of {one.live} live policies break the new schema of {one.kind}")
        for breach in one.first:
            output.note(f"  {output.line(breach.text())}")
        if one.count > len(one.first):
            output.note(f"  and {one.count - len(one.first)} more")
    if found:
        output.note("  They stay as they are; whoever changes one later must mend it.")
        confirm("Publish all the same?", yes=yes)


async def _publish_all(client: LedgerClient, policies: Sequence[JSON], plan: Plan, results: list[Published]) -> None:
    """Add to `results` what becomes of each policy, as it is answered."""
    with output.progress(len(policies), "publishing", show=len(policies) >= MANY) as advance:
        async for result in client.publish(policies, expect=plan.expect, dry_run=plan.dry_run, as_root=plan.as_root, queue=plan.queue):
            results.append(result)
            await _keep_receipt(client, result, plan)
            advance(1)


async def deliver_first(client: LedgerClient, *, forgiving: bool) -> None:
    """Deliver what this home queued earlier, and say what became of it. `forgiving`: a ledger that is away is no error."""
    try:
        delivery = await client.deliver()
    except UnavailableError:
        if not forgiving:
            raise
    else:
        for remark in delivery.remarks():
            output.note(remark)


async def _keep_receipt(client: LedgerClient, result: Published, plan: Plan) -> None:
    """Write a result's receipt, that of the version in force when nothing was to be published."""
    if plan.receipt_dir is None or plan.dry_run or result.digest is None or result.error is not None or result.result == "queued":
        return
    receipt = result.receipt if result.receipt is not None else await client.receipt(result.digest)
    write_file(plan.receipt_dir / (result.id + RECEIPT_SUFFIX), receipt, mode=0o644)


def report(results: Sequence[Published], form: str) -> int:
    """Print what became of each policy; return the exit code of the worst."""
    good = [result for result in results if result.error is None]
    if form == "table" and len(good) > MANY:
        counts = Counter(result.result for result in results)
        output.note(", ".join(f"{number} {result}" for result, number in sorted(counts.items())))
    else:
        shown = results if form in ("json", "jsonl") else good
        output.rows([result.facts() for result in shown], ("id", "kind", "index", "result"), form)
    queued = sum(result.result == "queued" for result in results)
    if queued:
        output.note(f"queued, not published: {queued} of {len(results)}")
    worst = 0
    for result in results:
        if result.error is not None:
            output.failure(result.error, f"{result.kind} {result.id}: ")
            worst = max(worst, lookup(EXIT_CODE, result.error))
    return worst


@click.command("policy", cls=Command)
@click.argument("policy_id", metavar="ID")
@click.argument("patch", metavar="FILE|JSON|-")
@expect
@as_root
@forms()
@common
def patch_policy(invocation: Invocation, policy_id: str, patch: str, expect: str | None, as_root: bool) -> int:
    """Merge a patch into a policy (RFC 7396): null removes an attribute, lists are replaced whole.

    For example:
      ledger-cli patch policy ID '{"status": "inactive", "note": null}'
      ledger-cli patch policy ID change.json
    """
    change = _patch(patch)

    async def work() -> int:
        async with invocation.client() as client:
            return report([await client.patch(policy_id, change, expect=expect, as_root=as_root)], invocation.form)

    return run(work())


def _patch(text: str) -> JSONObject:
    """Return the patch in an argument: JSON itself, or the name of what holds it."""
    if text.lstrip().startswith(("{", "[")):
        change, name = load(text.encode(errors="surrogateescape")), "this"
    else:
        change, name = parse_document(read_source(text), text), text
    if not isinstance(change, dict):
        raise FormatError(f"a patch is a JSON object; {name} is something else")
    return change


@click.command("policy", cls=Command)
@click.argument("policy_id", metavar="ID")
@expect
@as_root
@forms()
@common
def drop_policy(invocation: Invocation, policy_id: str, expect: str | None, as_root: bool) -> int:
    """Take a policy out of force. Its history stays; publishing the id again brings it back.

    Dropping what is dropped already changes nothing and is no error.

    For example:
      ledger-cli drop policy ID
    """

    async def work() -> int:
        async with invocation.client() as client:
            return report([await client.drop(policy_id, expect=expect, as_root=as_root)], invocation.form)

    return run(work())


@click.command(cls=Command)
@click.argument("words", nargs=-1, metavar="[KIND [where ...]]")
@forms("table", "jsonl")
@common
def watch(invocation: Invocation, words: Sequence[str]) -> None:
    """Show changes as they come, of one kind or of all; Ctrl-C ends it.

    With a condition: those that make a policy enter the result, alter it there, or leave it. docs/query.md has the language.

    For example:
      ledger-cli watch
      ledger-cli watch operator -o jsonl
      ledger-cli watch 'operator where company = acme and port > 32000'
    """
    kind, clause = (words[0], " ".join(words[1:])) if words else ("all", "")

    async def work() -> None:
        async with invocation.client() as client:
            async for change in client.watch(kind, clause):
                _show_change(change, invocation.form)

    run(work())


def _show_change(change: Change, form: str) -> None:
    line = f"{change.index}  {change.op:6}  {change.effect:5}  {change.kind}  {change.id}"
    output.answer(output.as_line(change.facts()) if form == "jsonl" else line)
