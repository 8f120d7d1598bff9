"""`run master`, `run node`."""

from __future__ import annotations

import click

from ledger.home.clock import SystemClock
from ledger.home.home import Home
from master.create import NewNetwork, create_network

from . import output
from .options import Invocation, common, run
from .verbs import verb


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    group = verb(cli, "run", "Serve until stopped.")
    group.add_command(master)
    group.add_command(node)


@click.command("master")
@click.option("--listen", metavar="HOST:PORT", help="Where to serve.  [default: 127.0.0.1:8443]")
@click.option("--metrics-listen", metavar="HOST:PORT", help="Where to serve Prometheus metrics.  [default: 127.0.0.1:9464]")
@click.option("--create", metavar="NAME", help="Create this network first when the home is empty.")
@common
def master(invocation: Invocation, listen: str | None, metrics_listen: str | None, create: str | None) -> None:
    """Serve this home's network; JSON log lines on stderr; SIGTERM drains and stops."""
    from master.run import run_master  # noqa: PLC0415 - a fifth of the start of every other command

    home = invocation.home_path()
    if create is not None and not (home / "config.toml").exists():
        created = run(create_network(home, NewNetwork(name=create, url=f"https://{listen or '127.0.0.1:8443'}"), SystemClock()))
        output.note(f"network {create} created: {created.network}")
    run_master(Home(home), invocation.settings(listen=listen, metrics_listen=metrics_listen))


@click.command("node")
@click.option("--listen", metavar="HOST:PORT", help="Where to serve reads.  [default: 127.0.0.1:8444]")
@click.option("--relay", is_flag=True, default=None, help="Serve the log to other nodes, too.")
@click.option("--join", "token", metavar="@FILE", help="Join with this token first when the home is empty.")
@common
def node(invocation: Invocation, listen: str | None, relay: bool | None, token: str | None) -> None:
    """Follow the ledger, verify every byte, and answer reads from the local replica."""
    from ledger.node.agent import run_node  # noqa: PLC0415 - as above

    run_node(invocation.home_path(), invocation.settings(listen=listen, relay=relay), join_with=token)
