"""`create network`."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .verbs import verb


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verb(cli, "create", "Make something new.").add_command(network)


@click.command("network")
@click.argument("name")
@click.option(
    "--url",
    default="https://127.0.0.1:8443",
    show_default=True,
    help="Where its master will serve, or sqlite:///path for a ledger without a server.",
)
@click.option("--name", "hosts", multiple=True, metavar="HOST", help="A name or address in the master's certificate; may be repeated.")
@click.option("--public-read", is_flag=True, help="Let anyone read the log without a token.")
@click.option("--admin-home", type=click.Path(path_type=Path, file_okay=False), help="Put the admin's keys in this other home.")
@forms("table", "json", "id")
@common
def network(invocation: Invocation, name: str, url: str, hosts: tuple[str, ...], public_read: bool, admin_home: Path | None) -> None:
    r"""Create a network in this home: its first root, keys, certificates and default policies.

    Prints the network id, which is what every node pins. Refuses a home that is in use.

    \b
    Examples:
      ledger-cli create network demo
      ledger-cli create network demo --url sqlite:///var/lib/demo/ledger.db
    """
    wanted = NewNetwork(name=name, url=url, hosts=hosts, public_read=public_read, admin_home=admin_home)
    created = run(create_network(invocation.home_path(), wanted, SystemClock()))
    if invocation.form == "json":
        output.answer(output.as_json(created.facts()))
    else:
        output.answer(created.network)
    output.note(f"network {name} created in {created.home}")
    if admin_home is None:
        output.note("this home holds the first admin's keys too: move keys/admin.pem and keys/member.pem to another machine,")
        output.note("or create the network with --admin-home")
