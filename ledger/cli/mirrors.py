"""`add mirror`, `get mirrors`, `pause|resume|retry|drop mirror`: the mirrors of a master's log. `audit`: two ledgers, entry by entry."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import click

from ledger.core.errors import ConflictError, LedgerError, NotFoundError, SplitViewError, UsageError, VerificationError
from ledger.home.home import Home
from ledger.home.mirrors import EVERY_SECONDS, Mirror, read_mirrors, write_mirrors
from ledger.home.url import parse_ledger_url

from . import output
from .asking import confirm, yes_option
from .operations import RETRY
from .options import Invocation, common, run
from .options import output as forms
from .policies import DROP
from .query import get
from .verbs import Command, verb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from blockchain_adapters.mirroring import MirroringScheme, Survey
    from blockchain_adapters.transactions import Parcel
    from ledger.home.backends import BackendContext
    from ledger.home.settings import Settings

ADD = """Add something to this home: a mirror of its log.

For example:
  ledger-cli add mirror ethereum+https://rpc.example/0xCONTRACT --dry-run
"""
PAUSE = """Let something rest.

For example:
  ledger-cli pause mirror 0xCONTRACT
"""
RESUME = """Let something that rests go on.

For example:
  ledger-cli resume mirror 0xCONTRACT
"""
COLUMNS = ("state", "size", "lag", "gas_today", "url", "reason")
SAMPLE = 100


def add_to(cli: click.Group) -> None:
    """Hang these commands under the root."""
    get.add_command(get_mirrors)
    verb(cli, "add", ADD).add_command(add_mirror)
    verb(cli, "pause", PAUSE).add_command(pause_mirror)
    verb(cli, "resume", RESUME).add_command(resume_mirror)
    verb(cli, "retry", RETRY).add_command(retry_mirror)
    verb(cli, "drop", DROP).add_command(drop_mirror)
    cli.add_command(audit)


@click.command("mirror", cls=Command)
@click.argument("url", metavar="URL")
@click.option("--key", metavar="FILE", help="Key file in `keys/` of the home, of who pays.  [default: ethereum.json, or fabric.id]")
@click.option("--every", type=click.FloatRange(min=0), help=f"Least seconds between two transactions.  [default: {EVERY_SECONDS:g}]")
@click.option("--max-gas-per-day", type=click.IntRange(min=1), metavar="GAS", help="Wait when this much was used within a day.")
@click.option("--dry-run", is_flag=True, help="Look at the contract and say what it costs; do nothing.")
@yes_option
@forms("table", "json")
@common
def add_mirror(invocation: Invocation, url: str, *, dry_run: bool, yes: bool, **chosen: str | float | None) -> None:
    """Keep this master's log on a chain too, entry for entry, with its signed checkpoints.

    Looks first whether the contract or chaincode is one, on which chain, whether the account may append and what it has, and says what
    the first entries cost. A running master takes it up within seconds. Adding it again changes its options.

    For example:
      ledger-cli add mirror ethereum+https://rpc.example/0xCONTRACT --dry-run
      ledger-cli add mirror ethereum+https://rpc.example/0xCONTRACT --max-gas-per-day 20000000 --yes
      ledger-cli add mirror 'hyperledger:///etc/fabric/connection.yaml?channel=C&chaincode=N' --dry-run
    """
    home, settings = _master(invocation)
    given: dict[str, object] = {name: value for name, value in chosen.items() if value is not None}
    scheme = _mirroring(url)
    mirror = _wanted(read_mirrors(home), url, scheme, given)
    if "/" in mirror.key:
        raise UsageError("--key names a file in keys/ of the home", advice="Put the key file there.")
    found = run(_survey(scheme, home, settings, mirror))
    output.one({**found.facts, "every": mirror.every, "max_gas_per_day": mirror.max_gas_per_day}, invocation.form)
    if found.problem is not None:
        raise found.problem
    if mirror.max_gas_per_day is not None and "gas" not in found.facts:
        raise UsageError("transactions cost no gas there", advice="Leave --max-gas-per-day out.")
    if dry_run:
        output.note("nothing was done")
        return
    confirm("Mirror the log there?", yes=yes)
    chain = found.facts.get("chain")
    mirror = replace(mirror, chain=chain if isinstance(chain, int | str) else None)
    write_mirrors(home, [*(one for one in read_mirrors(home) if one.url != mirror.url), mirror])
    output.note("added; ledger-cli get mirrors shows how far it is")


def _wanted(present: tuple[Mirror, ...], text: str, scheme: MirroringScheme, given: Mapping[str, object]) -> Mirror:
    url = parse_ledger_url(text).text
    known = next((one for one in present if one.url == url), None)
    mirror = replace(known or Mirror(url=url, key=scheme.key_file), **given)  # type: ignore[arg-type] # options of these names
    other = next((one for one in present if one.key == mirror.key and one.url != url), None)
    if other is not None and not scheme.shares_key:
        raise ConflictError(
            f"the account in {mirror.key} pays for {other.url} already",
            advice="Give each mirror an account of its own: ledger-cli create account --key FILE, then --key.",
        )
    return mirror


def _master(invocation: Invocation) -> tuple[Home, Settings]:
    home, settings = Home(invocation.home_path()), invocation.settings()
    home.require()
    if settings.role != "master":
        raise UsageError(f"{home.path} is the home of a {settings.role}: only a master keeps mirrors", advice="Name the master's home.")
    return home, settings


def _mirroring(text: str) -> MirroringScheme:
    """Return what keeps mirrors at a URL."""
    from blockchain_adapters.mirroring import MirroringScheme  # noqa: PLC0415 - loads the engine
    from ledger.home.backends import find_scheme  # noqa: PLC0415 - as above

    url = parse_ledger_url(text)
    scheme = find_scheme(url)
    if not isinstance(scheme, MirroringScheme):
        raise UsageError(
            f"{url.scheme} ledgers hold no mirrors", advice="Name one on a chain: see docs/ethereum.md and docs/hyperledger.md."
        )
    return scheme


async def _survey(scheme: MirroringScheme, home: Home, settings: Settings, mirror: Mirror) -> Survey:
    """Look at the contract, with the first entries of the log as a sample."""
    import asyncio  # noqa: PLC0415 - as above

    from blockchain_adapters.mirroring import Terms  # noqa: PLC0415 - as above

    terms = Terms(settings.network or "", mirror.key, mirror.chain)
    sample = await asyncio.to_thread(_sample, home)
    return await scheme.survey(parse_ledger_url(mirror.url), _context(home, settings), terms, sample)


def _context(home: Home, settings: Settings) -> BackendContext:
    from ledger.client.copy import Silent  # noqa: PLC0415 - as above
    from ledger.home.backends import BackendContext  # noqa: PLC0415 - as above
    from ledger.home.clock import SystemClock  # noqa: PLC0415 - as above

    return BackendContext(home, settings, SystemClock(), Silent())


def _sample(home: Home) -> Parcel:
    from blockchain_adapters.transactions import Parcel  # noqa: PLC0415 - as above
    from ledger.core.trust.good import parse_claim  # noqa: PLC0415 - as above
    from ledger.engine.store import Store  # noqa: PLC0415 - as above

    store = Store.open(home.database, writable=False)
    try:
        note = store.read_now(lambda snapshot: snapshot.checkpoint())
        entries = tuple(store.read_now(lambda snapshot: snapshot.entries(0, SAMPLE)))
    finally:
        store.close()
    if note is None:
        raise NotFoundError("this log has no checkpoint yet", advice="Start the master once.")
    claim = parse_claim(note)
    return Parcel(entries, size=claim.size, root=claim.root, note=note)


@click.command("mirrors", cls=Command)
@forms("table", "json", "jsonl")
@common
def get_mirrors(invocation: Invocation) -> None:
    """Show the mirrors of this master's log: how far each is, what it costs, and what keeps it from going on.

    States: current, behind (writing), waits (see the reason), paused, dead (`retry mirror`), opening, unknown (no master says).

    For example:
      ledger-cli get mirrors
      ledger-cli get mirrors -o json
    """
    home, _ = _master(invocation)
    mirrors = read_mirrors(home)
    shown: list[Mapping[str, object]] = []
    if mirrors:
        try:
            status = run(_status(invocation))
            found = status.get("mirrors")
            shown = found if isinstance(found, list) else []
        except LedgerError as error:
            output.note(f"the master does not say how they are: {error.message}")
    told = {one["url"] for one in shown}
    rest = [{"url": one.url, "state": "unknown"} for one in mirrors if one.url not in told]
    output.rows([*shown, *rest], COLUMNS, invocation.form)
    for one in shown:
        if one.get("advice") and one.get("state") != "current":
            output.note(f"{one['url']}: {one['advice']}")
        if one.get("believed"):
            output.note(f"{one['url']}: believed, for there is one provider only; name others in `sources`")


async def _status(invocation: Invocation) -> Mapping[str, object]:
    import asyncio  # noqa: PLC0415 - as above

    import orjson  # noqa: PLC0415 - as above

    place = invocation.place()
    async with await asyncio.to_thread(partial(place.transport, scope="operate")) as server:
        found: Mapping[str, object] = orjson.loads((await server.get("/v1/status")).body)
    return found


def _change(invocation: Invocation, name: str, said: str, **changes: object) -> None:
    """Change the mirror of that name."""
    home, _ = _master(invocation)
    mirrors = read_mirrors(home)
    found = _find(mirrors, name)
    changed = replace(found, **changes) if changes else replace(found, tries=found.tries + 1)  # type: ignore[arg-type] # fields of these names
    write_mirrors(home, [changed if one is found else one for one in mirrors])
    output.note(f"{found.url} {said}")


def _find(mirrors: tuple[Mirror, ...], name: str) -> Mirror:
    found = next((one for one in mirrors if one.is_named(name)), None)
    if found is None:
        raise NotFoundError(f"there is no mirror {name}", advice="See ledger-cli get mirrors.")
    return found


@click.command("mirror", cls=Command)
@click.argument("mirror", metavar="MIRROR")
@common
def pause_mirror(invocation: Invocation, mirror: str) -> None:
    """Write nothing to a mirror until it is resumed. MIRROR is its URL or the contract's address.

    For example:
      ledger-cli pause mirror 0xCONTRACT
    """
    _change(invocation, mirror, "is paused", paused=True)


@click.command("mirror", cls=Command)
@click.argument("mirror", metavar="MIRROR")
@common
def resume_mirror(invocation: Invocation, mirror: str) -> None:
    """Write to a mirror again, from where it stopped.

    For example:
      ledger-cli resume mirror 0xCONTRACT
    """
    _change(invocation, mirror, "goes on", paused=False)


@click.command("mirror", cls=Command)
@click.argument("mirror", metavar="MIRROR")
@common
def retry_mirror(invocation: Invocation, mirror: str) -> None:
    """Try again what a mirror gave up, when its cause was mended: an entry above `max_gas`, say.

    For example:
      ledger-cli retry mirror 0xCONTRACT
    """
    _change(invocation, mirror, "is tried again")


@click.command("mirror", cls=Command)
@click.argument("mirror", metavar="MIRROR")
@yes_option
@common
def drop_mirror(invocation: Invocation, mirror: str, *, yes: bool) -> None:
    """Keep a mirror no longer. What it holds stays on its chain for ever; nodes that read it call it stale after a while.

    For example:
      ledger-cli drop mirror 0xCONTRACT
    """
    home, _ = _master(invocation)
    mirrors = read_mirrors(home)
    found = _find(mirrors, mirror)
    confirm(f"Mirror the log to {found.url} no longer?", yes=yes)
    write_mirrors(home, [one for one in mirrors if one is not found])
    output.note(f"{found.url} is no longer a mirror")


@click.command(cls=Command)
@click.argument("first", metavar="URL")
@click.argument("second", metavar="URL")
@forms("table", "json")
@common
def audit(invocation: Invocation, first: str, second: str) -> None:
    """Compare two ledgers of this home's network, entry by entry: servers, files, mirrors on a chain.

    Names each index that differs; on a chain, with block and transaction. A mirror that is behind is no difference. Exits 1 when they
    differ, 5 when the log's own key signed both.

    For example:
      ledger-cli audit https://127.0.0.1:8443 ethereum+http://127.0.0.1:8545/0xCONTRACT
      ledger-cli audit https://127.0.0.1:8443 https://127.0.0.1:8444 -o json
    """
    facts = run(_audit(invocation, first, second))
    differences = facts["differences"]
    rows = differences if isinstance(differences, list) else []
    if invocation.form == "json":
        output.one(facts, "json")
    else:
        output.rows(rows, ("index", "what", "first", "second", "block", "transaction"), "table")
    remarks = facts["remarks"]
    for remark in remarks if isinstance(remarks, list) else ():
        output.note(str(remark))
    output.note(f"{facts['compared']} entries compared, {len(rows)} differences")
    if facts["split"]:
        raise SplitViewError("the log's own key signed two different trees", advice="Keep this output: it is evidence.")
    if rows:
        raise VerificationError("the ledgers differ", advice="Find out who wrote what is named; what a good checkpoint proves is the log.")


async def _audit(invocation: Invocation, first: str, second: str) -> dict[str, object]:
    from contextlib import AsyncExitStack  # noqa: PLC0415 - as above

    from ledger.client.auditing import audit as compare  # noqa: PLC0415 - as above
    from ledger.home.backends import open_ledger  # noqa: PLC0415 - as above

    home, settings = Home(invocation.home_path()), invocation.settings()
    home.require()
    context = _context(home, settings)
    async with AsyncExitStack() as stack:
        one = await open_ledger(first, context)
        stack.push_async_callback(one.close)
        other = await open_ledger(second, context)
        stack.push_async_callback(other.close)
        with output.arriving("comparing") as progress:
            return (await compare(one, other, settings.network or "", progress)).facts()
