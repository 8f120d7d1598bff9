"""`verify receipt`, `verify ledger`, `show checkpoint`, `status`, `sync`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.errors import ProofError, UsageError, VerificationError

from . import output
from .documents import parse_document, read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.client.answers import Verified
    from ledger.client.client import LedgerClient
    from ledger.core.canonical import JSON

VERIFY = """Check what was said, with nothing trusted but what this home has pinned. Exits 1 when it does not hold.

For example:
  ledger-cli verify receipt proof.tlog-proof
  ledger-cli verify ledger
"""
SHOW = """Show signed statements as they are.

For example:
  ledger-cli show checkpoint
"""
STATE_EXITS: Mapping[str, int] = {"ok": 0, "stale": 4, "unreachable": 4, "alarm": 5}


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verify = verb(cli, "verify", VERIFY)
    verify.add_command(verify_receipt)
    verify.add_command(verify_ledger)
    verb(cli, "show", SHOW).add_command(show_checkpoint)
    cli.add_command(status)
    cli.add_command(sync)


@click.command("receipt", cls=Command)
@click.argument("file", type=str)
@click.option("--policy", "policy_file", metavar="FILE", help="Also check that the receipt is of this policy: kind, id and body.")
@forms("table", "json")
@common
def verify_receipt(invocation: Invocation, file: str, policy_file: str | None) -> None:
    """Check a receipt offline, with the keys that this home has pinned; - reads standard input.

    For example:
      ledger-cli verify receipt proof.tlog-proof --policy site.json
    """
    receipt = read_source(file)
    policy = None if policy_file is None else parse_document(read_source(policy_file), policy_file)

    async def work() -> None:
        async with invocation.client() as client:
            verified = await _verify_receipt(client, receipt, policy)
        output.one(verified.facts(), invocation.form)

    run(work())


async def _verify_receipt(client: LedgerClient, receipt: bytes, policy: JSON | None) -> Verified:
    """Check a receipt; a policy may be the file that was handed in, before the defaults of its schema were filled in."""
    try:
        return client.verify_receipt(receipt, policy=policy)
    except ProofError:
        filled = None if policy is None else await client.kinds.filled(policy)
        if filled is None:
            raise
        return replace(client.verify_receipt(receipt, policy=filled), policy="the same, with the defaults of its schema")


@click.command("ledger", cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--deep", is_flag=True, help="Also compute the state root that each mark claims.")
@forms("table", "json")
@common
def verify_ledger(invocation: Invocation, file: Path | None, deep: bool) -> None:
    """Recompute everything of one ledger, or of an exported file: leaf hashes, tree, checkpoint, signatures, verdicts, state.

    Names the first index that is wrong and exits 1. A file is checked offline, as the ledger of the network that this home
    pins; where no home is, as that of the network that it names itself.

    For example:
      ledger-cli verify ledger
      ledger-cli verify ledger --ledger sqlite:///var/lib/demo/ledger.db -o json
      ledger-cli verify ledger demo.ledger --deep
    """
    facts = run(_verify_own(invocation, deep=deep)) if file is None else _verify_file(invocation, file, deep=deep)
    output.one(facts, invocation.form)
    if not facts["verified"]:
        raise VerificationError(str(facts["detail"]), advice="Do not use this ledger; sync afresh or restore a backup.")


async def _verify_own(invocation: Invocation, *, deep: bool) -> Mapping[str, object]:
    async with invocation.client(verifies=True) as client:
        size = await client.copy.size()
        with output.progress(size, "verifying", show=True) as advance:
            return await client.verify_ledger(deep=deep, progress=advance)


def _verify_file(invocation: Invocation, path: Path, *, deep: bool) -> Mapping[str, object]:
    from ledger.client.exportcheck import verify_export  # noqa: PLC0415 - loads the engine
    from ledger.client.exportfile import ExportFile  # noqa: PLC0415 - as above

    with ExportFile(path) as file:
        pinned = invocation.settings().network
        if pinned is None:
            output.note(f"nothing is pinned here: compare the network id {file.header.network} with one that you trust")
        network = pinned or file.header.network
        with output.progress(file.header.size, "verifying", show=True) as advance:
            return {"network": network, **verify_export(file, network, deep=deep, progress=advance).facts()}


@click.command("checkpoint", cls=Command)
@forms("table", "json")
@common
def show_checkpoint(invocation: Invocation) -> None:
    """Show the newest signed checkpoint as it is; with -o json, taken apart, with the state root.

    For example:
      ledger-cli show checkpoint -o json
    """

    async def work() -> None:
        async with invocation.client() as client:
            note = await client.checkpoint()
            if invocation.form == "table":
                output.raw(note)
            else:
                output.one({**await client.checkpoint_facts(), "note": note.decode()}, invocation.form)

    run(work())


@click.command(cls=Command)
@forms("table", "json")
@common
def status(invocation: Invocation) -> int:
    """Say how this home and its ledger are: size, freshness, alarms, what to do.

    Exits 0 when all is well, 4 when the ledger is stale or unreachable, 5 when there is an alarm.

    For example:
      ledger-cli status -o json
    """

    async def work() -> Mapping[str, object]:
        async with invocation.client() as client:
            return await client.status()

    facts = run(work())
    output.one(facts, invocation.form)
    return STATE_EXITS[str(facts["state"])]


@click.command(cls=Command)
@click.option(
    "--accept-chain",
    metavar="WORDS",
    help="After an alarm about the chain, once you know why: give up what was known of it, keep your words with the alarm, read it anew.",
)
@forms("table", "json")
@common
def sync(invocation: Invocation, accept_chain: str | None) -> None:
    """Fetch what is new, verify it, and say what it cost. A running agent of this home is asked to do it.

    What this home has queued is delivered first.

    For example:
      ledger-cli sync -o json
      ledger-cli sync --accept-chain "the test chain was set up again from block 4711; Anna and Ben agree"
    """
    if accept_chain is not None and not accept_chain.strip():
        raise UsageError("--accept-chain takes words: who decided, and why", advice="They are kept with the alarm.")

    async def work() -> None:
        async with invocation.client() as client:
            if accept_chain is not None:
                await client.copy.read_anew(accept_chain)
            delivery = await client.deliver()
            with output.arriving("syncing") as progress:
                report = await client.sync(progress)
        output.one(replace(report, notes=(*delivery.remarks(), *report.notes)).facts(), invocation.form)

    run(work())
