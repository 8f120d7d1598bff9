"""`create account`, `create contract`: what a ledger on a chain needs before there is one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ledger.core.errors import UsageError
from ledger.home.home import Home

from . import output
from .asking import confirm, new_passphrase, passphrase_option, yes_option
from .members import CREATE
from .options import Invocation, common, run
from .options import output as forms
from .verbs import Command, verb

if TYPE_CHECKING:
    from blockchain_adapters.ethereum.deploy import Plan

GWEI = 10**9

key_option = click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="Keystore file.  [default: keys/ethereum.json of the home]"
)


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    create = verb(cli, "create", CREATE)
    create.add_command(account)
    create.add_command(contract)


@click.command("account", cls=Command)
@key_option
@click.option("--identity", type=click.Path(path_type=Path), metavar="PATH", help="Take this identity of Hyperledger Fabric instead.")
@passphrase_option
@forms("table", "json", "id")
@common
def account(invocation: Invocation, key: Path | None, identity: Path | None, *, ask_passphrase: bool) -> None:
    """Make an Ethereum account that pays for what this home writes, in an encrypted keystore file of its own.

    Prints its address. Send it funds, then use it. The file is one that Ethereum's own tools can read, and one that they made
    can stand in its place.

    On Hyperledger Fabric an organisation's CA makes identities. With --identity the home takes a copy of one, into keys/fabric.id: of a
    wallet or a file of one (NAME.id), an MSP directory, or a directory with cert.pem and key.pem.

    For example:
      ledger-cli create account --ask-passphrase
      METALEDGER_PASSPHRASE_FILE=/run/secrets/phrase ledger-cli create account -o id
      ledger-cli create account --identity ./wallet/anna.id
    """
    if identity is not None:
        _adopt(invocation, identity, key)
        return
    from ledger.home.backends import adapter_of  # noqa: PLC0415 - what the other commands need not load

    with adapter_of("ethereum"):
        from blockchain_adapters.ethereum.account import create_account  # noqa: PLC0415 - an extra: only who asks for it needs it

    phrase = new_passphrase(invocation.settings(), ask=ask_passphrase)
    if not phrase:
        raise UsageError(
            "the key of an account is never stored without a passphrase", advice="Give --ask-passphrase, or METALEDGER_PASSPHRASE_FILE."
        )
    path = _key_file(invocation, key)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = create_account(path, phrase)
    if invocation.form == "json":
        output.one({"account": address, "key": str(path)}, "json")
    else:
        output.answer(address)
    output.note(f"its key is in {path}; without the passphrase nobody can use it, you included")


def _adopt(invocation: Invocation, identity: Path, key: Path | None) -> None:
    """Take a copy of an identity of Fabric into the home."""
    from ledger.home.backends import adapter_of  # noqa: PLC0415 - what the other commands need not load

    with adapter_of("hyperledger"):
        from blockchain_adapters.hyperledger.identity import KEY_FILE, adopt_identity  # noqa: PLC0415 - an extra, as above

    path = Home(invocation.home_path()).keys / KEY_FILE if key is None else key
    taken = adopt_identity(identity, path)
    if invocation.form == "json":
        output.one({"account": taken.msp, "key": str(path)}, "json")
    else:
        output.answer(taken.msp or path.name)
    output.note(f"its key is in {path}")


@click.command("contract", cls=Command)
@click.argument("url", metavar="URL")
@click.option(
    "--submitter", "submitters", multiple=True, metavar="ADDRESS", help="An account that may append; may be repeated.  [default: this one]"
)
@click.option("--anybody", is_flag=True, help="Let every account append, for ever: no list, no owner.")
@key_option
@click.option("--max-fee", type=click.IntRange(min=1), default=100, show_default=True, metavar="GWEI", help="Never offer more for a gas.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and cost; do nothing.")
@yes_option
@forms("table", "json", "id")
@common
def contract(
    invocation: Invocation,
    url: str,
    submitters: tuple[str, ...],
    key: Path | None,
    max_fee: int,
    *,
    anybody: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Put a new contract onto the chain of the provider at URL, and print its ledger URL.

    The account of this home pays and owns the list of those who may append. Nothing is sent before the cost was shown.

    For example:
      ledger-cli create contract ethereum+http://127.0.0.1:8545 --dry-run
      ledger-cli create contract ethereum+https://rpc.example/v1 --submitter 0x52908400098527886E0F7030069857D2E4169EE7
      ledger-cli create contract ethereum+http://127.0.0.1:8545 --anybody -o id
    """
    if anybody and submitters:
        raise UsageError("--anybody and --submitter exclude each other")
    from ledger.home.backends import adapter_of  # noqa: PLC0415 - what the other commands need not load

    with adapter_of("ethereum"):
        from blockchain_adapters.ethereum import deploy  # noqa: PLC0415 - an extra: only who asks for it needs it

    place = deploy.Place.of(url)
    path = _key_file(invocation, key)
    wanted = None if anybody else list(submitters)
    plan = run(deploy.plan_contract(place, path, wanted, max_fee * GWEI))
    if dry_run:
        _show(invocation, plan, place.ledger(plan.address))
        output.note("nothing was done")
        return
    output.note(_sentence(plan))
    confirm("Deploy it?", yes=yes)
    deployed = run(deploy.deploy_contract(place, path, _passphrase(invocation, path), plan))
    ledger = place.ledger(deployed.address)
    if invocation.form == "json":
        output.one({"ledger": ledger, "chain": plan.chain, "account": plan.account, **deployed.facts()}, "json")
    else:
        output.answer(deployed.address if invocation.form == "id" else ledger)


def _key_file(invocation: Invocation, key: Path | None) -> Path:
    return Home(invocation.home_path()).keys / "ethereum.json" if key is None else key


def _passphrase(invocation: Invocation, path: Path) -> str:
    phrase = invocation.settings().passphrase
    if phrase is None and sys.stdin.isatty():
        phrase = str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))
    if phrase is None:
        raise UsageError("the account's key has a passphrase", advice="Name its file in METALEDGER_PASSPHRASE_FILE.")
    return phrase


def _show(invocation: Invocation, plan: Plan, ledger: str) -> None:
    facts = {"ledger": ledger, **plan.facts()}
    if invocation.form == "id":
        output.answer(plan.address)
    else:
        output.one(facts, invocation.form)


def _sentence(plan: Plan) -> str:
    facts = plan.facts()
    who = "anybody may append" if plan.submitters is None else f"{len(plan.submitters)} may append"
    return f"{plan.account} on chain {plan.chain}: {facts['gas']} gas, about {facts['cost']}, at most {facts['most']}; {who}"
