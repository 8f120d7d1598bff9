"""`create invite`, `create token`, `join`."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.client.joining import join_home
from ledger.core.errors import UsageError
from ledger.home.files import write_file

from . import output
from .documents import read_source
from .options import Invocation, common, run
from .options import output as forms
from .verbs import verb

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[int]):
    """A time span such as 90s, 15m, 1h or 7d, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value
        text = str(value)
        if text[-1:] not in SECONDS or not text[:-1].isascii() or not text[:-1].isdigit() or int(text[:-1]) < 1:
            self.fail(f"{text!r} is no time span; write 90s, 15m, 1h or 7d", param, ctx)
        return int(text[:-1]) * SECONDS[text[-1]]


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    create = verb(cli, "create", "Make something new.")
    create.add_command(invite)
    create.add_command(token)
    cli.add_command(join)


@click.command("invite")
@click.argument("name")
@click.option("--type", "member_type", type=click.Choice(["node", "user", "service", "admin"]), required=True, help="What the newcomer is.")
@click.option("--permissions", multiple=True, metavar="ID", help="Permissions to give; default: those of the type.")
@click.option("--ttl", type=Duration(), default="1h", show_default=True, help="How long the invite is good.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the token to this new file (0600) instead of stdout.")
@common
def invite(invocation: Invocation, name: str, member_type: str, permissions: tuple[str, ...], ttl: int, out: Path | None) -> None:
    r"""Invite a node, user, service or admin. Prints the join token: whoever holds it can join, once.

    \b
    Example:
      ledger-cli create invite node-1 --type node --out node-1.token
    """
    if out is not None and out.exists():
        raise UsageError(f"{out} exists already")

    async def work() -> str:
        async with invocation.client() as client:
            return await client.invite(name, member_type, permissions=permissions, ttl=ttl)

    text = run(work())
    if out is None:
        output.answer(text)
    else:
        write_file(out, (text + "\n").encode(), replace=False)
        output.note(f"join token for {name} written to {out}")


@click.command("token")
@click.option("--scope", default="read", show_default=True, help="What it is good for: read, write or operate.")
@common
def token(invocation: Invocation, scope: str) -> None:
    r"""Print an access token of this home's identity, for curl and other programs. It is good for 15 minutes.

    \b
    Example:
      curl --cacert ~/.metaledger/tls/ca.pem -H "Authorization: Bearer $(ledger-cli create token)" https://127.0.0.1:8443/v1/status
    """

    async def work() -> str:
        async with invocation.client() as client:
            return await client.access_token(scope=scope)

    output.answer(run(work()))


@click.command()
@click.argument("token", metavar="TOKEN|@FILE|-")
@forms("table", "json")
@common
def join(invocation: Invocation, token: str) -> None:
    """Join a network with a token, in an empty home.

    Makes the key, pins the network's CA, publishes the member statement, gets the certificate and
    verifies the whole ledger. A token in argv can be seen by others on this machine: prefer @FILE or -.
    """
    text = token if not token.startswith(("@", "-")) else read_source(token.removeprefix("@")).decode("utf-8", "replace")
    joined = run(join_home(invocation.home_path(), text.strip()))
    output.answer(output.one(joined.facts(), invocation.form))
