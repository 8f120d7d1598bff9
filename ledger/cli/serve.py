"""`run master`, `run node`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledger.core.errors import UsageError
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.url import parse_ledger_url

from . import output
from .options import Invocation, common, run
from .verbs import Command, verb

if TYPE_CHECKING:
    from master.create import NewNetwork

RUN = """Serve until stopped; JSON log lines on stderr.

For example:
  ledger-cli run master
  ledger-cli run node --home ./node-1
"""
DEFAULT_LISTEN = "127.0.0.1:8443"
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what is not written into a URL


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "run", RUN)
    group.add_command(master)
    group.add_command(node)


@click.command("master", cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Where to serve.  [env: METALEDGER_LISTEN; default: 127.0.0.1:8443]")
@click.option(
    "--metrics-listen", metavar="HOST:PORT", help="Where to serve Prometheus metrics.  [env: METALEDGER_METRICS_LISTEN; default: off]"
)
@click.option(
    "--accept-fork-risk",
    type=click.IntRange(min=0),
    metavar="SIZE",
    help="After a restore: sign on from this size though nothing proves that it was the last. A wrong one forks the log.",
)
@click.option("--create", metavar="NAME", help="Create this network first when nobody lives in the home.")
@click.option(
    "--name",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="With --create: a name or address in the master's certificate; may be repeated. Clients are told the first one.",
)
@common
def master(invocation: Invocation, create: str | None, hosts: tuple[str, ...], **settled: str | int | None) -> None:
    """Serve this home's network; JSON log lines on stderr; SIGTERM or Ctrl-C drains and stops.

    For example:
      ledger-cli run master --listen 0.0.0.0:8443
      ledger-cli run master --create demo
      ledger-cli run master --create demo --listen 0.0.0.0:8443 --name ledger.example
      ledger-cli run master --accept-fork-risk 4711
    """
    from master.create import NewNetwork  # noqa: PLC0415 - a fifth of the start of every other command
    from master.run import run_master  # noqa: PLC0415 - as above

    if hosts and create is None:
        raise UsageError("--name says whom to create, and there is no --create", advice="Add --create NAME, or leave --name out.")
    home = Home(invocation.home_path())
    settings = invocation.settings(**settled)
    if create is not None and not home.exists:
        _create(
            home, NewNetwork(name=create, url=_told(settings.listen or DEFAULT_LISTEN, hosts), hosts=hosts, passphrase=settings.passphrase)
        )
        settings = invocation.settings(**settled)
    home.require()
    if settings.role != "master":
        raise UsageError(f"{home.path} is the home of a {settings.role}, not of a master", advice="Name the master's home with --home.")
    run_master(home, settings)


def _told(listen: str, hosts: tuple[str, ...]) -> str:
    """Return the URL that clients are told of a master that listens there and is known by these names."""
    host, port = parse_ledger_url(f"https://{listen}").endpoint(0)
    if hosts:
        host = f"[{hosts[0]}]" if ":" in hosts[0] else hosts[0]
        return f"https://{host}:{port}"
    if host not in ANY_ADDRESS:
        return f"https://{listen}"
    output.note(f"clients are told https://127.0.0.1:{port}; name another address with --name HOST")
    return f"https://127.0.0.1:{port}"


def _create(home: Home, wanted: NewNetwork) -> None:
    from master.create import create_network  # noqa: PLC0415 - as above

    created = run(create_network(home.path, wanted, SystemClock()))
    output.note(f"network {wanted.name} created: {created.network}")


@click.command("node", cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Where to serve reads.  [env: METALEDGER_LISTEN; default: 127.0.0.1:8444]")
@click.option("--relay", is_flag=True, default=None, help="Serve the log to other nodes, too.")
@click.option("--join", "token", metavar="@FILE", help="Join with this token first when nobody lives in the home.")
@click.option("--name", "hosts", multiple=True, metavar="HOST", help="A name or address in the node's first certificate; may be repeated.")
@common
def node(invocation: Invocation, listen: str | None, relay: bool | None, token: str | None, hosts: tuple[str, ...]) -> None:
    """Follow the ledger, verify every byte, and answer reads from the local replica. SIGTERM or Ctrl-C stops it.

    Where a chain orders the network nobody certifies servers: at its first start the node makes a CA of its own, whose
    certificate (tls/ca.pem) its readers are given.

    For example:
      ledger-cli run node --home ./node-1
      ledger-cli run node --home ./node-1 --join @node-1.token
    """
    from ledger.node.agent import FirstJoin, run_node  # noqa: PLC0415 - as above

    run_node(invocation.home_path(), invocation.settings(listen=listen, relay=relay), first=FirstJoin(token, hosts))
