"""`create admin-key`, `create root`, `sign root`, `publish root`: the ceremony for new admins, keys and thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.errors import FormatError, NotFoundError, UsageError
from ledger.home.files import create_file, write_file
from ledger.home.home import Home

from . import output
from .asking import confirm, new_passphrase, passphrase_option, yes_option
from .documents import parse_document, read_source
from .members import CREATE
from .options import Invocation, common, run
from .options import output as forms
from .policies import PUBLISH, report
from .verbs import Command, verb

if TYPE_CHECKING:
    from ledger.client.ceremony import RootFile
    from ledger.core.canonical import JSONObject
    from ledger.core.root import Root

SIGN = """Sign what others drafted.

For example:
  ledger-cli sign root root-2.json
"""
PUBLIC = 0o644


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    create = verb(cli, "create", CREATE)
    create.add_command(admin_key)
    create.add_command(create_root)
    verb(cli, "sign", SIGN).add_command(sign_root)
    verb(cli, "publish", PUBLISH).add_command(publish_root)


@click.command("admin-key", cls=Command)
@passphrase_option
@common
def admin_key(invocation: Invocation, *, ask_passphrase: bool) -> None:
    """Make a root admin's key in this home and print its public half, for whoever drafts the root that names it.

    The home may be empty: a root admin needs nothing but the key. It is never overwritten.

    For example:
      ledger-cli create admin-key --home ./bea
    """
    from auth.keystore import KeyStore  # noqa: PLC0415 - what the other commands need not load

    phrase = new_passphrase(invocation.settings(), ask=ask_passphrase)
    store = KeyStore(Home(invocation.home_path()).keys, None if phrase is None else phrase.encode())
    output.answer(store.create("admin").public.text)


@click.command("root", cls=Command)
@click.option("--add-admin", "add", multiple=True, metavar="NAME=KEY", help="A new admin, by the key that `create admin-key` printed.")
@click.option("--drop-admin", "drop", multiple=True, metavar="NAME", help="An admin who is one no more.")
@click.option("--threshold", type=click.IntRange(min=1), help="How many admins a root takes from now on.")
@click.option("--authority-threshold", type=click.IntRange(min=1), help="How many admins permissions, schemas and the like take.")
@click.option("--expires", metavar="TIME", help="When the root's word ends: answers are marked stale then.")
@click.option("--patch", metavar="FILE|JSON", help="Merge this into the root (RFC 7396), for what has no option here.")
@click.option("--continue", "continues", is_flag=True, help="Take up the log that this home holds, though others may hold more of it.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the draft to this new file, not to stdout.")
@common
def create_root(invocation: Invocation, patch: str | None, out: Path | None, *, continues: bool, **changed: object) -> None:
    """Draft the next root: who rules the network, by which keys and numbers. Nothing is signed or sent yet.

    Then `sign root` in the homes of enough admins, those of the root in force and those of the new one,
    and `publish root` in the home of any member. An admin who lost a key is dropped and added with a new
    one; the others sign.

    With --continue, in the master's home after an older backup was restored: the log goes on from what it
    holds, with a new origin and new keys, which are made here. Whoever holds more goes back to there, and
    what was lost has to be published again. Publish the root in this home, too.

    For example:
      ledger-cli create root --add-admin bea=ed25519:KEY --add-admin cem=ed25519:KEY --threshold 2 --out root-2.json
      ledger-cli create root --drop-admin cem --add-admin cem=ed25519:NEWKEY --out root-3.json
      ledger-cli create root --patch '{"stale_after": 3600}' --out root-4.json
      ledger-cli create root --continue --out root-5.json
    """
    from ledger.client.ceremony import RootChanges, differences, draft_root, parse_admin, present_root  # noqa: PLC0415 - as above
    from ledger.client.continuing import draft_continuing  # noqa: PLC0415 - as above

    add = changed.pop("add")
    pairs = [parse_admin(text) for text in (add if isinstance(add, tuple) else ())]
    changes = RootChanges(add=dict(pairs), patch={} if patch is None else _patch(patch), **changed)  # type: ignore[arg-type] # the options, by name

    async def work() -> tuple[RootFile, list[str]]:
        async with invocation.client() as client:
            file = await (draft_continuing if continues else draft_root)(client, changes)
            placed, _ = await present_root(client)
            return file, differences(placed.root, file.root)

    if len(dict(pairs)) != len(pairs):
        raise UsageError("two new admins have one name")
    if out is None:
        file, lines = run(work())
        output.raw(file.encode())
    else:
        create_file(out, b"", mode=PUBLIC)  # taken before keys are made for a draft that could not be written
        try:
            file, lines = run(work())
            write_file(out, file.encode(), mode=PUBLIC)
        except BaseException:
            out.unlink(missing_ok=True)
            raise
        output.note(f"root {file.root.version} drafted in {out}; now: ledger-cli sign root {out}")
    _tell(lines)


def _patch(text: str) -> JSONObject:
    content = text.encode(errors="surrogateescape") if text.lstrip().startswith(("{", "[")) else read_source(text)
    change = parse_document(content, "the patch")
    if not isinstance(change, dict):
        raise FormatError("a patch is a JSON object")
    return change


def _tell(lines: list[str]) -> None:
    for line in lines:
        output.note(f"  {line}")


@click.command("root", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@yes_option
@forms("table", "json")
@common
def sign_root(invocation: Invocation, file: Path, *, yes: bool) -> None:
    """Add this home's admin signature to the draft of a root, in the file itself.

    Shows what the root changes first: read it. Needs no network. Where this home has a copy of the
    ledger, the draft must follow the root in force there.

    For example:
      ledger-cli sign root root-2.json --home ./bea
    """
    from auth.keystore import KeyStore  # noqa: PLC0415 - what the other commands need not load
    from ledger.client.ceremony import differences, parse_root_file  # noqa: PLC0415 - as above

    home, settings = Home(invocation.home_path()), invocation.settings()
    drafted = parse_root_file(read_source(str(file)))
    if settings.network not in (None, drafted.statement.ledger):
        raise UsageError(f"the root is of network {drafted.statement.ledger}, this home of {settings.network}")
    present = _present(invocation) if home.exists else None
    store = KeyStore(home.keys, None if settings.passphrase is None else settings.passphrase.encode())
    if not store.has("admin"):
        raise NotFoundError(f"{home.path} holds no admin key", advice="Name the home that holds it, or make one: create admin-key.")
    signed = drafted.signed(store.load("admin"), present)
    output.note(f"root {drafted.root.version} of {drafted.root.name}" + ("" if present else " (the root in force is not known here)"))
    _tell(differences(present, drafted.root))
    confirm("Sign this?", yes=yes)
    write_file(file, signed.encode(), mode=PUBLIC)
    output.one(signed.facts(present), invocation.form)


def _present(invocation: Invocation) -> Root | None:
    """Return the root in force as this home's copy has it; nothing is asked of the network."""

    async def work() -> Root | None:
        async with invocation.client(verifies=True) as client:
            roots = await client.copy.roots()
            return roots[-1].root if roots else None

    return run(work())


@click.command("root", cls=Command)
@click.argument("file", metavar="FILE|-")
@forms()
@common
def publish_root(invocation: Invocation, file: str) -> int:
    """Publish a root that enough admins signed. It rules from the next entry on.

    Any member may hand it in: its signatures speak for it. Refused (exit 3) while signatures are
    wanting, and it says whose.

    For example:
      ledger-cli publish root root-2.json
    """
    from ledger.client.ceremony import parse_root_file, publish_root  # noqa: PLC0415 - what the other commands need not load

    drafted = parse_root_file(read_source(file))

    async def work() -> int:
        async with invocation.client() as client:
            return report([await publish_root(client, drafted)], invocation.form)

    return run(work())
