"""`create chaincode`: what a channel of Hyperledger Fabric needs before a ledger is on it."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.home.files import read_text

from . import output
from .members import CREATE
from .options import Invocation, common
from .options import output as forms
from .verbs import Command, verb


def add_to(cli: click.Group) -> None:
    """Hang this command under the root."""
    verb(cli, "create", CREATE).add_command(chaincode)


@click.command("chaincode", cls=Command)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="A new directory for it.")
@click.option("--address", required=True, metavar="HOST:PORT", help="Where the chaincode will run, as peers see it.")
@click.option(
    "--msp",
    "msps",
    multiple=True,
    required=True,
    metavar="ID",
    help="An organisation that may append; may be repeated. The first may change that.",
)
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificates (PEM) of what signed the chaincode's. Needed but on loopback.",
)
@click.option("--channel", default="ledger", show_default=True, help="The channel.")
@click.option("--name", default="metaledger", show_default=True, help="The chaincode's name on the channel.")
@forms("table", "json", "id")
@common
def chaincode(
    invocation: Invocation, out: Path, address: str, msps: tuple[str, ...], tls_ca: Path | None, *, channel: str, name: str
) -> None:
    """Write the chaincode for a channel of Hyperledger Fabric: its source, the package that peers install, and what to type.

    The chaincode is a program of its own that peers talk to. Nothing is sent: an administrator types what this prints.

    For example:
      ledger-cli create chaincode --out ./chaincode --address 127.0.0.1:9999 --msp Org1MSP
      ledger-cli create chaincode --out ./chaincode --address cc.example:9999 --msp Org1MSP --msp Org2MSP --tls-ca ca.pem
    """
    from blockchain_adapters.hyperledger.package import PACKAGE, SOURCE, Chaincode  # noqa: PLC0415 - only who asks for it needs it

    one = Chaincode(address, msps, None if tls_ca is None else read_text(tls_ca), channel, name)
    package_id = one.write(out)
    if invocation.form == "json":
        output.one({"package_id": package_id, "package": str(out / PACKAGE), "source": str(out / SOURCE), "steps": one.steps()}, "json")
    elif invocation.form == "id":
        output.answer(package_id)
    else:
        output.answer("\n".join([f"cd {out}", *one.steps()]))
