"""`backup`, `restore`, `export`, `import`: one ledger as one file, and back."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from ledger.core.errors import EXIT_CODE, ConflictError, LedgerError, UsageError
from ledger.core.limits import LIMITS
from ledger.home.clock import SystemClock
from ledger.home.files import unwritable
from ledger.home.home import Home

from . import output
from .documents import read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.client.client import LedgerClient
    from ledger.client.importing import Imported
    from ledger.client.restoring import Brought

EDGELAKE = "edgelake"
FORMATS = click.Choice(["metaledger", EDGELAKE])
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    cli.add_command(backup)
    cli.add_command(restore)
    cli.add_command(export)
    cli.add_command(import_command)


@click.command(cls=Command)
@file_argument
@forms("table", "json")
@common
def backup(invocation: Invocation, file: Path) -> None:
    """Copy this home's ledger into a new file while it is in use, and verify the copy.

    The file holds the log or the replica with its state. Keys, certificates and head.json are not in it: keep keys apart,
    and never put a copy of head.json back.

    For example:
      ledger-cli backup /var/backups/ledger-2026-11-22.db
    """

    async def work() -> dict[str, object]:
        from ledger.client.restoring import backup_copy  # noqa: PLC0415 - loads the engine

        async with invocation.client(verifies=True) as client:
            network, size = await client.copy.network(), await client.copy.size()
            with output.progress(size, "verifying", show=True) as advance:
                checked = await backup_copy(client.place, network, file, advance)
        names = ("size", "root", "state_root", "verified")
        return {"file": str(file), "network": network, **{name: getattr(checked, name) for name in names}}

    output.one(run(work()), invocation.form)


@click.command(cls=Command)
@file_argument
@click.option("--from", "sources", metavar="URL", multiple=True, help="Bring newer entries back from this node or relay; may be repeated.")
@forms("table", "json")
@common
def restore(invocation: Invocation, file: Path, sources: Sequence[str]) -> None:
    """Put a backup in the place of this home's ledger. It is verified first; what lay there is kept beside it.

    A restored log is read, and nothing is signed on it: entries that left after the backup would be forked away. Bring
    them back with --from, then say with `run master --accept-fork-risk SIZE` that there are no more, or give up the
    rest with `create root --continue`.

    For example:
      ledger-cli restore /var/backups/ledger-2026-11-22.db --from https://node-1.example:8444
    """
    from ledger.client.restoring import restore as put_back  # noqa: PLC0415 - as above

    _report(run(put_back(invocation.place(), file, sources)), invocation.form)


def _report(brought: Brought, form: str) -> None:
    output.one(brought.facts(), form)
    for note in brought.notes:
        output.note(note)
    if not brought.flagged:
        return
    if brought.left is not None and brought.left > brought.size:
        output.note(
            f"warning: head.json says that {brought.left} entries left this home; {brought.left - brought.size} of them are missing"
        )
    output.note("nothing is signed on this log until an operator says that it is the newest there is: --accept-fork-risk, see docs/cli.md")


@click.command(cls=Command)
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="Write it there, not to stdout."
)
@click.option("--format", "file_format", type=FORMATS, default="metaledger", show_default=True, help="Form of the file.")
@common
def export(invocation: Invocation, path: Path | None, file_format: str) -> None:
    """Write the whole ledger as one file that anybody can verify offline: entries, roots, checkpoint.

    With --format edgelake: the live policies, one JSON object a line, as AnyLog and EdgeLake read them. That file proves
    nothing, and has neither history nor the members and permissions of this network.

    For example:
      ledger-cli export -o demo.ledger
      ledger-cli verify ledger demo.ledger
      ledger-cli export --format edgelake -o blockchain.json
    """
    whole = file_format != EDGELAKE
    to_stdout = path is None or str(path) == "-"
    if to_stdout and whole and sys.stdout.isatty():
        raise UsageError(f"a {file_format} export is not for terminals", advice="Name a file with -o, or pipe it on.")

    async def work() -> str:
        async with invocation.client() as client:
            write = _write_whole if whole else _write_policies
            if path is None or to_stdout:
                return await write(client, output.raw)
            with _whole_file(path) as file:
                return await write(client, file.write)

    output.note(run(work()) + ("" if to_stdout else f", written to {path}"))


async def _write_whole(client: LedgerClient, sink: Callable[[bytes], object]) -> str:
    from ledger.client.exportfile import write_export  # noqa: PLC0415 - loads the engine

    await client.checkpoint()
    with output.progress(await client.copy.size(), "exporting", show=True) as advance:
        header = await write_export(client.copy.store, sink, advance)
    return f"{header.size} entries of network {header.network}"


async def _write_policies(client: LedgerClient, sink: Callable[[bytes], object]) -> str:
    with output.progress(await client.copy.size(), "exporting", show=True) as advance:
        exported = await client.export_edgelake(sink, advance)
    return f"{exported.policies} policies at size {exported.size}, without {exported.authority} of this network's authority"


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing that takes its name when the block ends well, and is gone otherwise."""
    if path.exists():
        raise ConflictError(f"{path} exists already; it is not overwritten", advice="Name another file, or move it away first.")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


@click.command("import", cls=Command)
@file_argument
@click.option("--from", "file_format", type=FORMATS, default="metaledger", show_default=True, help="Form of the file.")
@click.option("--dry-run", is_flag=True, help="With --from edgelake: say what would become of each policy, and send nothing.")
@forms("table", "json")
@common
def import_command(invocation: Invocation, file: Path, file_format: str, *, dry_run: bool) -> int:
    """Bring an exported ledger, bit for bit, into a home whose ledger is empty, or into an empty directory.

    Everything is verified first, and all of it is taken or nothing. An empty directory becomes a home that reads this
    ledger; compare the network id with one that you trust.

    With --from edgelake, publish the policies of a file of AnyLog or EdgeLake into this home's network, signed by this home:
    JSON lines, an array, or their SQL export. Ids and dates stay. What is there already is not published again, what is
    there and differs stays as it is. An anmp policy becomes a patch, a deleted one a drop. What is left out is named with
    its line, and then the exit code is 1. docs/edgelake.md has more.

    For example:
      ledger-cli import demo.ledger --home ./copy
      ledger-cli import --from edgelake blockchain.json --dry-run
      ledger-cli import --from edgelake blockchain.json
    """
    if file_format == EDGELAKE:
        return _import_policies(invocation, file, dry_run=dry_run)
    if dry_run:
        raise UsageError("--dry-run is for --from edgelake", advice="`verify ledger FILE` checks an export without importing it.")
    _import_whole(invocation, file)
    return 0


def _import_whole(invocation: Invocation, file: Path) -> None:
    from ledger.client.exportfile import ExportFile  # noqa: PLC0415 - loads the engine
    from ledger.client.restoring import import_export  # noqa: PLC0415 - as above

    home = Home(invocation.home_path())
    known = home.exists
    with ExportFile(file) as opened, output.progress(opened.header.size, "verifying", show=True) as advance:
        brought = run(import_export(home, opened, SystemClock(), advance))
    if not known:
        output.note(f"this home was empty: it pins the network that the metaledger file names, {brought.network}; compare it")
    _report(brought, invocation.form)


def _import_policies(invocation: Invocation, file: Path, *, dry_run: bool) -> int:
    content = read_source(str(file), LIMITS.ledger_file + 1)

    async def work() -> Imported:
        async with invocation.client() as client:
            with output.arriving("importing") as progress:
                return await client.import_edgelake(content, dry_run=dry_run, progress=progress)

    imported = run(work())
    facts = imported.facts()
    if invocation.form == "json":
        output.one({**facts, "dry_run": dry_run}, "json")
    else:
        output.one({name: value for name, value in facts.items() if name != "faults"}, "table")
    for one in imported.left:
        output.note(output.line(one.text()))
    if imported.left:
        output.note(f"{len(imported.left)} left out: mend them in the file and import it again; -o json has them in `faults`")
    if dry_run:
        output.note("nothing was sent: this is what an import would do now")
    return EXIT_CODE[LedgerError] if imported.left else 0
