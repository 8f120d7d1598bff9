"""`submit`: hand in what others signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.core.canonical import encode
from ledger.core.envelope import rebuild_envelope
from ledger.core.errors import FormatError, LedgerError, UsageError

from . import output
from .documents import read_documents
from .options import Invocation, common, run
from .options import output as forms
from .policies import MANY, report
from .verbs import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.answers import Published
    from ledger.core.canonical import JSON
    from ledger.core.envelope import Envelope

ELSEWHERE = "Submit it in a home of its own network, or name that home with --home."


def add_to(cli: click.Group) -> None:
    """Hang this command under the root."""
    cli.add_command(submit)


@click.command(cls=Command)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--dry-run", is_flag=True, help="Judge them by the local copy and send nothing.")
@forms()
@common
def submit(invocation: Invocation, files: Sequence[str], *, dry_run: bool) -> int:
    """Append signed statements for somebody who cannot; - reads standard input.

    A file holds DSSE envelopes: one JSON object, an array, or one object a line, in any spelling. Nothing is
    signed here. The signatures in an envelope decide whether it counts, as if its author had sent it; this
    home only needs the right to write. What the ledger holds already is not appended again.

    For example:
      ledger-cli submit entry.json
      ledger-cli submit --dry-run entries.jsonl
    """
    envelopes = [_envelope(document, number) for number, document in enumerate(read_documents(files), 1)]
    return run(_submit(invocation, envelopes, dry_run=dry_run))


async def _submit(invocation: Invocation, envelopes: Sequence[Envelope], *, dry_run: bool) -> int:
    results: list[Published] = []
    async with invocation.client() as client:
        publisher, network = await client.publisher(), await client.copy.network()
        for place, one in enumerate(envelopes, 1):
            if one.statement.ledger != network:
                raise UsageError(f"envelope {place} is of network {one.statement.ledger}, this home of {network}", advice=ELSEWHERE)
        try:
            with output.progress(len(envelopes), "submitting", show=len(envelopes) >= MANY) as advance:
                async for result in publisher.hand_in(envelopes, dry_run=dry_run):
                    results.append(result)
                    advance(1)
        except LedgerError:
            if results:
                output.note(f"{len(results)} of {len(envelopes)} statements were answered before this:")
                report(results, invocation.form)
            raise
    return report(results, invocation.form)


def _envelope(document: JSON, number: int) -> Envelope:
    try:
        envelope = rebuild_envelope(encode(document))
        envelope.statement  # noqa: B018 - read now, so that what is none is said before anything is sent
    except FormatError as error:
        raise FormatError(f"envelope {number}: {error.message}", advice="docs/formats.md, section 12, makes one step by step.") from error
    return envelope
