"""`create network`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from ledger.home.clock import SystemClock

from . import output
from .asking import new_passphrase, passphrase_option
from .members import CREATE
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from master.create import CreatedNetwork


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    verb(cli, "create", CREATE).add_command(network)


@click.command("network", cls=Command)
@click.argument("name")
@click.option(
    "--url",
    default="https://127.0.0.1:8443",
    show_default=True,
    help="Where its master will serve, sqlite:///path for a ledger without a server, or the contract of a chain that orders it.",
)
@click.option("--name", "hosts", multiple=True, metavar="HOST", help="A name or address in the master's certificate; may be repeated.")
@click.option("--public-read", is_flag=True, help="Let anyone read the log without a token.")
@click.option("--admin-home", type=click.Path(path_type=Path, file_okay=False), help="Put the admin's keys in this other home.")
@click.option(
    "--account",
    type=click.Path(path_type=Path),
    help="On a chain: the account that pays, a keystore file that METALEDGER_PASSPHRASE_FILE opens, or an identity of Fabric.",
)
@passphrase_option
@forms("table", "json", "id")
@common
def network(
    invocation: Invocation,
    name: str,
    url: str,
    hosts: tuple[str, ...],
    *,
    public_read: bool,
    admin_home: Path | None,
    account: Path | None,
    ask_passphrase: bool,
) -> None:
    """Create a network in this home: its first root, keys, certificates and default policies.

    Prints the network id, which is what every node pins. Refuses a home that is in use.

    For example:
      ledger-cli create network demo
      ledger-cli create network demo --url https://ledger.example:8443 --admin-home ./admin
      ledger-cli create network demo --url sqlite:///var/lib/demo/ledger.db
      ledger-cli create network demo --url ethereum+http://127.0.0.1:8545/0xCONTRACT --account ./account.json
      ledger-cli create network demo --url 'hyperledger:///etc/fabric/connection.yaml?channel=C&chaincode=N' --account ./admin.id
    """
    from master.create import NewNetwork, create_network  # noqa: PLC0415 - what the other commands need not load

    phrase = new_passphrase(invocation.settings(), ask=ask_passphrase)
    wanted = NewNetwork(name, url, hosts, public_read, admin_home, account, phrase)
    created = run(create_network(invocation.home_path(), wanted, SystemClock()))
    if invocation.form == "json":
        output.one(created.facts(), "json")
    else:
        output.answer(created.network)
    output.note(f"network {name} created in {created.home}")
    if admin_home is None and created.served:
        output.note("this home holds the first admin's keys, too; to move them to a home of their own:")
        output.note("  " + moving_command(created))


def moving_command(created: CreatedNetwork) -> str:
    """Return the shell command that moves the first admin's keys out of the master's home."""
    home = quote(str(created.home))
    config = "sed -e '/^listen = /d' -e '/^public_read = /d' -e 's/^role = .*/role = \"member\"/' -e 's/^name = .*/name = \"admin\"/'"
    return (
        f'ADMIN={home}-admin && mkdir -m 700 "$ADMIN" "$ADMIN/keys" "$ADMIN/tls" && {config} {home}/config.toml > "$ADMIN/config.toml"'
        f' && cp {home}/tls/ca.pem "$ADMIN/tls/" && mv {home}/keys/admin.pem {home}/keys/member.pem "$ADMIN/keys/"'
    )
