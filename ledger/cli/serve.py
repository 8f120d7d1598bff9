"""`run master`, `run node`."""

from __future__ import annotations

import click

from ledger.core.errors import UsageError
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.url import parse_ledger_url

from . import output
from .options import Invocation, common, run
from .verbs import Command, verb

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
@click.option("--create", metavar="NAME", help="Create this network first when nobody lives in the home.")
@common
def master(invocation: Invocation, listen: str | None, metrics_listen: str | None, create: str | None) -> None:
    """Serve this home's network; JSON log lines on stderr; SIGTERM or Ctrl-C drains and stops.

    For example:
      ledger-cli run master --listen 0.0.0.0:8443
      ledger-cli run master --create demo
    """
    from master.run import run_master  # noqa: PLC0415 - a fifth of the start of every other command

    home = Home(invocation.home_path())
    settings = invocation.settings(listen=listen, metrics_listen=metrics_listen)
    if create is not None and not home.exists:
        _create(home, create, settings.listen or DEFAULT_LISTEN)
        settings = invocation.settings(listen=listen, metrics_listen=metrics_listen)
    home.require()
    if settings.role != "master":
        raise UsageError(f"{home.path} is the home of a {settings.role}, not of a master", advice="Name the master's home with --home.")
    run_master(home, settings)


def _create(home: Home, name: str, listen: str) -> None:
    from master.create import NewNetwork, create_network  # noqa: PLC0415 - as above

    host, port = parse_ledger_url(f"https://{listen}").endpoint(0)
    if host in ANY_ADDRESS:
        listen = f"127.0.0.1:{port}"
        output.note(f"clients are told https://{listen}; create the network with `ledger-cli create network --url` to name another address")
    created = run(create_network(home.path, NewNetwork(name=name, url=f"https://{listen}"), SystemClock()))
    output.note(f"network {name} created: {created.network}")


@click.command("node", cls=Command)
@click.option("--listen", metavar="HOST:PORT", help="Where to serve reads.  [env: METALEDGER_LISTEN; default: 127.0.0.1:8444]")
@click.option("--relay", is_flag=True, default=None, help="Serve the log to other nodes, too.")
@click.option("--join", "token", metavar="@FILE", help="Join with this token first when nobody lives in the home.")
@common
def node(invocation: Invocation, listen: str | None, relay: bool | None, token: str | None) -> None:
    """Follow the ledger, verify every byte, and answer reads from the local replica. SIGTERM or Ctrl-C stops it.

    For example:
      ledger-cli run node --home ./node-1
      ledger-cli run node --home ./node-1 --join @node-1.token
    """
    from ledger.node.agent import run_node  # noqa: PLC0415 - as above

    run_node(invocation.home_path(), invocation.settings(listen=listen, relay=relay), join_with=token)
