"""`create invite`, `create token`, `join`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.canonical import is_hex64
from ledger.core.errors import UsageError
from ledger.core.limits import LIMITS
from ledger.home.files import create_file, write_file

from . import output
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.client.answers import Joined
    from ledger.client.sync import Progress

FILE = click.Path(path_type=Path, dir_okay=False)
PLACE = click.Path(path_type=Path)
SECONDS: Mapping[str, int] = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 3650 * 86400
SCOPES = ("read", "write", "operate")

CREATE = """Make something new: a network, an invite, a token.

For example:
  ledger-cli create network demo
  ledger-cli create invite node-1 --type node --out node-1.token
  ledger-cli create token
"""


class Duration(click.ParamType[int]):
    """A time span such as 90s, 15m, 1h or 7d, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value
        text = str(value)
        number = text[:-1]
        if text[-1:] not in SECONDS or not (number.isascii() and number.isdigit() and len(number) <= len(str(LONGEST))):
            self.fail(f"{text!r} is no time span; write 90s, 15m, 1h or 7d", param, ctx)
        seconds = int(number) * SECONDS[text[-1]]
        if not 0 < seconds <= LONGEST:
            self.fail(f"{text!r} is not between 1s and 3650d", param, ctx)
        return seconds


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    create = verb(cli, "create", CREATE)
    create.add_command(invite)
    create.add_command(token)
    cli.add_command(join)


@click.command("invite", cls=Command)
@click.argument("name")
@click.option("--type", "member_type", type=click.Choice(["node", "user", "service", "admin"]), required=True, help="What the newcomer is.")
@click.option("--permissions", multiple=True, metavar="ID", help="Permissions to give; may be repeated. Default: those of the type.")
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="How long the invite is good.")
@click.option("--out", type=FILE, help="Write the token to this new file (0600), not to stdout.")
@common
def invite(invocation: Invocation, name: str, member_type: str, permissions: tuple[str, ...], ttl: int, out: Path | None) -> None:
    """Invite a node, user, service or admin. Prints the join token: whoever holds it can join, once.

    For example:
      ledger-cli create invite node-1 --type node --out node-1.token
    """

    async def work() -> str:
        async with invocation.client() as client:
            return await client.invite(name, member_type, permissions=permissions, ttl=ttl)

    if out is None:
        output.answer(run(work()))
        return
    create_file(out, b"")  # taken before anything is published, so that no token is lost
    try:
        write_file(out, (run(work()) + "\n").encode())
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    output.note(f"join token for {name} written to {out}")


@click.command("token", cls=Command)
@click.option("--scope", default="read", show_default=True, type=click.Choice(SCOPES), help="What it is good for.")
@click.option("--ttl", type=Duration(), default="15m", show_default=True, help="How long it is good, 15 minutes at most.")
@common
def token(invocation: Invocation, scope: str, ttl: int) -> None:
    """Print an access token of this home's identity, for curl and other programs.

    A token is good at one server: that of the ledger URL. It cannot be taken back, so ask for no more than is needed.

    For example:
      curl --cacert ~/.metaledger/tls/ca.pem -H "Authorization: Bearer $(ledger-cli create token)" https://127.0.0.1:8443/v1/policies
    """
    place = invocation.place()
    if place.embedded:
        raise UsageError("an embedded ledger has no server, so there is nothing to show a token to", advice="Read the file itself.")

    if ttl > LIMITS.access_token_seconds:
        raise UsageError("a token is good for 15 minutes at most", advice="Give a shorter --ttl, and ask again when it ends.")

    async def work() -> str:
        async with place.transport(scope=scope) as transport:
            transport.token_seconds = ttl
            return await transport.token()

    output.answer(run(work()))


@click.command(cls=Command)
@click.argument("token", required=False, metavar="[TOKEN|@FILE|-]")
@click.option("--name", "hosts", multiple=True, metavar="HOST", help="A name or address in this member's certificate; may be repeated.")
@click.option("--network", metavar="ID", help="Without a token, on a chain: only read the network of this id at --ledger URL.")
@click.option(
    "--account", type=PLACE, help="On a chain: the key file of who pays, or may read; the home keeps a copy.  [default: the home's own]"
)
@click.option("--out", type=FILE, help="On a chain: append nothing; write the member's statement to this new file, for a member to submit.")
@forms("table", "json")
@common
def join(
    invocation: Invocation, token: str | None, hosts: tuple[str, ...], network: str | None, account: Path | None, out: Path | None
) -> None:
    """Join a network with a token, in an empty home.

    Makes the key, pins the network's CA, publishes the member statement, gets the certificate and
    verifies the whole ledger. A join that was stopped is taken up again with the same token.
    A token in argv can be seen by others on this machine: prefer @FILE or -.

    A network that a chain orders has no server to ask. There the member statement is an entry that somebody pays for: this home's
    account, or a member to whom it is handed with --out. Who only reads needs no token: the network id and the ledger URL will do.

    For example:
      ledger-cli join @node-1.token --home ./node-1
      ledger-cli join - --home ./node-1 < node-1.token
      ledger-cli join @anna.token --home ./anna --account account.json
      ledger-cli join @anna.token --home ./anna --out anna.json
      ledger-cli join --network ID --ledger ethereum+https://rpc.example/0xCONTRACT --home ./reader
      ledger-cli join --network ID --ledger 'hyperledger:///etc/fabric/connection.yaml?channel=C&chaincode=N' --account anna.id
    """
    with output.arriving("syncing") as progress:
        if token is None:
            joined: Joined | None = _reader(invocation, (network, hosts, account, out), progress)
        elif network is not None:
            raise UsageError("a token names its network", advice="Leave --network out.")
        else:
            joined = _member(invocation, token, (hosts, account, out), progress)
    if joined is not None:
        output.one(joined.facts(), invocation.form)


def _member(
    invocation: Invocation, argument: str, given: tuple[tuple[str, ...], Path | None, Path | None], progress: Progress
) -> Joined | None:
    """Join with a token; None when the statement was written to a file instead."""
    from auth.join import read_join_token  # noqa: PLC0415 - what the other commands need not load
    from ledger.client.joining import join_home  # noqa: PLC0415 - as above

    hosts, account, out = given
    token = read_join_token(argument, sys.stdin.buffer, lambda text: output.note(f"warning: {text}"))
    if token.url.startswith("https:"):
        if account is not None or out is not None:
            raise UsageError("a master lets in itself, and nobody pays", advice="Leave --account and --out out.")
        return run(join_home(invocation.home_path(), token.encode(), hosts=hosts, progress=progress))
    from ledger.client.chainjoining import Way, join_on_chain  # noqa: PLC0415 - as above

    if hosts:
        raise UsageError("a chain certifies nobody", advice="Give --name to run node.")
    way = Way(account, None if out is None else lambda envelope: create_file(out, envelope.entry + b"\n", mode=0o644))
    joined = run(join_on_chain(invocation.home_path(), token, way, progress=progress))
    if joined is None:
        output.note(f"not joined yet: let a member `ledger-cli submit {out}`, then join again with the same token")
    return joined


def _reader(invocation: Invocation, given: tuple[str | None, tuple[str, ...], Path | None, Path | None], progress: Progress) -> Joined:
    """Make a home that only reads."""
    from ledger.client.chainjoining import follow_on_chain  # noqa: PLC0415 - what the other commands need not load

    network, hosts, account, out = given
    ledger = invocation.settings().ledger
    if network is None or ledger is None or hosts or out is not None:
        advice = "Give TOKEN, @FILE or -; to only read a network on a chain, --network ID and --ledger URL."
        raise UsageError("there is no token to join with", advice=advice)
    if not is_hex64(network):
        raise UsageError("a network id has 64 hex digits in lower case", advice="`status` in a home of the network shows it.")
    return run(follow_on_chain(invocation.home_path(), network, ledger, account, progress=progress))
