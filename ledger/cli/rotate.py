"""`rotate key`, `rotate log-key`, `rotate certificate`, `rotate token-key`, `rotate ca`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.canonical import format_time
from ledger.core.errors import NotFoundError, UsageError
from ledger.home.files import create_file

from . import output
from .asking import confirm, yes_option
from .operations import warn_of_unanswered
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.errors import LedgerError

ROTATE = """Replace a key or a certificate by a new one, while everything goes on.

For example:
  ledger-cli rotate key
  ledger-cli rotate log-key
  ledger-cli rotate certificate
"""


hosts_option = click.option("--name", "hosts", multiple=True, metavar="HOST", help="One more name or address in it; may be repeated.")


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "rotate", ROTATE)
    group.add_command(key)
    group.add_command(log_key)
    group.add_command(certificate)
    group.add_command(token_key)
    group.add_command(ca)


@click.command("key", cls=Command)
@click.option("--server", is_flag=True, help="The key of the member that this master is, not that of the home's own member.")
@forms("table", "json")
@common
def key(invocation: Invocation, *, server: bool) -> int:
    """Give this home's member a new key. What the old one signed stays true; from now on it signs nothing.

    The statement is signed by both keys. The old key is kept beside the new one, as member.<key id>.pem,
    and is good for nothing any more. A home with a certificate gets a new one. A running agent takes
    all of it up by itself. What was stopped half way is finished by doing it again.

    For example:
      ledger-cli rotate key
    """
    from ledger.client.rekeying import rotate_key  # noqa: PLC0415 - what the other commands need not load

    async def work() -> LedgerError | None:
        async with invocation.client() as client:
            rekeyed = await rotate_key(client, server=server)
            output.one(rekeyed.facts(), invocation.form)
            await warn_of_unanswered(client)
            return rekeyed.problem

    problem = run(work())
    if problem is not None:
        output.note("the key is replaced; the home's certificate is not, and was revoked with the old key:")
        output.failure(problem)
        output.note("  then: ledger-cli rotate certificate")
    return 0


@click.command("log-key", cls=Command)
@click.option("--overlap", is_flag=True, help="One root only: both keys sign until the command is given again.")
@click.option("--stolen", is_flag=True, help="Close the old key with the root that opens the new one, and replace the clock key too.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a root that others must sign to this new file.")
@forms("table", "json", "jsonl")
@common
def log_key(invocation: Invocation, *, overlap: bool, stolen: bool, out: Path | None) -> None:
    """Replace the key that signs the log, in the master's home. The running master takes the new one up by itself.

    A first root lists both keys, and both sign; a second one closes the old key. Where this home's admin
    key is not enough, each root goes into a file for the ceremony: have it signed, publish it, and give
    the command again for the next. Receipts signed by the old key stay good.

    For example:
      ledger-cli rotate log-key
      ledger-cli rotate log-key --overlap
      ledger-cli rotate log-key --out root-2.json
    """
    from ledger.client.logkeys import LogKeyStep, rotate_log_key  # noqa: PLC0415 - what the other commands need not load

    async def work() -> list[LogKeyStep]:
        async with invocation.client() as client:
            return await rotate_log_key(client, overlap=overlap, stolen=stolen)

    steps = run(work())
    output.rows([step.facts() for step in steps if step.index is not None], ("version", "index", "open", "closed"), invocation.form)
    if steps[-1].file is None:
        return
    if out is None:
        raise UsageError("this home cannot sign the root alone", advice="Give --out FILE, have it signed (sign root), and publish it.")
    create_file(out, steps[-1].file.encode(), mode=0o644)
    output.note(f"root {steps[-1].version} drafted in {out}: have it signed (sign root), publish it (publish root), then give this again")


@click.command("certificate", cls=Command)
@hosts_option
@forms("table", "json")
@common
def certificate(invocation: Invocation, hosts: tuple[str, ...]) -> None:
    """Replace this home's TLS certificate and its key, for the same hosts. A running server takes them up within seconds.

    Connections that stand keep what they have. A home that holds the key of its CA certifies itself: the
    master's, and a node's in a network that a chain orders; every other home asks the master. Agents do
    this by themselves at two thirds of the life of a certificate.

    For example:
      ledger-cli rotate certificate
      ledger-cli rotate certificate --name ledger.example
    """
    output.one(_new_certificate(invocation, hosts), invocation.form)


def _new_certificate(invocation: Invocation, hosts: tuple[str, ...]) -> Mapping[str, object]:
    from ledger.client.certificates import present_names, renew_certificate  # noqa: PLC0415 - what the other commands need not load
    from ledger.client.ownca import CA_KEY, renew_own  # noqa: PLC0415 - as above

    place = invocation.place()
    present_names(place.home)
    if place.settings.role == "master" or (place.home.tls / CA_KEY).exists():
        ends = renew_own(place.home, place.clock, hosts)
    else:
        ends = run(renew_certificate(place, hosts))
    name, named = present_names(place.home)
    return {"name": name, "hosts": list(named), "expires": format_time(ends)}


@click.command("token-key", cls=Command)
@click.option("--at-once", is_flag=True, help="Refuse the tokens of the key before from now on: it was stolen. All buy new ones.")
@forms("table", "json")
@common
def token_key(invocation: Invocation, *, at_once: bool) -> None:
    """Replace the key that signs access tokens, in the home of a master or a node. A running server takes it up within seconds.

    Tokens of the key before are taken until the last of them is over; as long the key set
    (/.well-known/jwks.json) shows both.

    For example:
      ledger-cli rotate token-key
    """
    from auth.tokenkeys import TOKEN, rotate_token_key  # noqa: PLC0415 - what the other commands need not load

    place = invocation.place()
    if not place.keys.has(TOKEN):
        raise NotFoundError(f"{place.home.path} holds no token key", advice="Masters and nodes have one.")
    new, kept = rotate_token_key(place.keys, at_once=at_once)
    output.one({"key": new.public.text, "keyid": new.public.keyid, "before": "taken" if kept else "refused"}, invocation.form)


@click.command("ca", cls=Command)
@yes_option
@forms("table", "json")
@common
def ca(invocation: Invocation, *, yes: bool) -> None:
    """Replace the CA of the network, and the master's certificate by one of the new CA. In the home that holds tls/ca.key.

    Other homes follow by themselves: the old CA signs the new one's key, every server shows that, and
    a home that meets it pins the new CA. Both are trusted for 90 days. A home that does not connect
    within them has to join anew. Agents get new certificates by themselves. The old CA's key is gone.

    For example:
      ledger-cli rotate ca --yes
    """
    from master.renewal import rotate_ca  # noqa: PLC0415 - what the other commands need not load

    place = invocation.place()
    confirm("Replace the CA of the network?", yes=yes)
    authority, ends = rotate_ca(place.home, place.clock)
    output.one({"name": authority.name, "fingerprint": authority.fingerprint, "expires": format_time(ends)}, invocation.form)
