"""`verify receipt`, `verify ledger`, `show checkpoint`, `status`, `sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.core.canonical import load
from ledger.core.errors import VerificationError

from . import output
from .documents import read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import verb

if TYPE_CHECKING:
    from collections.abc import Mapping


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verify = verb(cli, "verify", "Check what was said, with nothing trusted but the pinned keys.")
    verify.add_command(verify_receipt)
    verify.add_command(verify_ledger)
    verb(cli, "show", "Show signed statements as they are.").add_command(show_checkpoint)
    cli.add_command(status)
    cli.add_command(sync)


@click.command("receipt")
@click.argument("file", type=str)
@click.option("--policy", "policy_file", type=str, help="Also check that the receipt is of this policy: kind, id and body.")
@forms("table", "json")
@common
def verify_receipt(invocation: Invocation, file: str, policy_file: str | None) -> None:
    r"""Check a receipt offline, with the keys that this home has pinned.

    \b
    Example:
      ledger-cli verify receipt proof.tlog-proof --policy site.json
    """
    receipt = read_source(file)
    policy = None if policy_file is None else load(read_source(policy_file))

    async def work() -> None:
        async with invocation.client() as client:
            verified = client.verify_receipt(receipt, policy=policy)
        output.answer(output.one(verified.facts(), invocation.form))

    run(work())


@click.command("ledger")
@click.option("--deep", is_flag=True, help="Also judge every entry again from the first on.")
@forms("table", "json")
@common
def verify_ledger(invocation: Invocation, deep: bool) -> None:
    """Recompute everything of one ledger: leaf hashes, tree, checkpoint, signatures, verdicts, state.

    Names the first index that is wrong and exits 1.
    """

    async def work() -> Mapping[str, object]:
        async with invocation.client() as client:
            return await client.verify_ledger(deep=deep)

    facts = run(work())
    output.answer(output.one(facts, invocation.form))
    if not facts["verified"]:
        raise VerificationError(str(facts["detail"]), advice="Do not use this ledger; sync afresh or restore a backup.")


@click.command("checkpoint")
@forms("table", "json")
@common
def show_checkpoint(invocation: Invocation) -> None:
    """Show the newest signed checkpoint; with -o json, taken apart, with the state root."""

    async def work() -> None:
        async with invocation.client() as client:
            note = await client.checkpoint()
            if invocation.form == "table":
                output.raw(note)
            else:
                output.answer(output.as_json({**await client.checkpoint_facts(), "note": note.decode()}))

    run(work())


@click.command()
@forms("table", "json")
@common
def status(invocation: Invocation) -> int:
    """Say how this home and its ledger are: size, freshness, alarms, what to do."""

    async def work() -> Mapping[str, object]:
        async with invocation.client() as client:
            return await client.status()

    facts = run(work())
    output.answer(output.one(facts, invocation.form))
    exits = {"ok": 0, "stale": 4, "unreachable": 4, "alarm": 5}
    return exits.get(str(facts["state"]), 0)


@click.command()
@forms("table", "json")
@common
def sync(invocation: Invocation) -> None:
    """Fetch what is new, verify it, and say what it cost."""

    async def work() -> None:
        async with invocation.client() as client:
            output.answer(output.one((await client.sync()).facts(), invocation.form))

    run(work())
