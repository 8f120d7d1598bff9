"""`status`: how a home and its ledger are, and what to do about it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.client.marks import STATE_ROOT, read_audit
from ledger.client.moving import Moving
from ledger.client.ordered import Standing
from ledger.client.reader import all_voids
from ledger.client.slips import find_slips
from ledger.core.canonical import format_time
from ledger.core.errors import AlarmError, BadSourceError, LedgerError
from ledger.core.note import CLOCK_KIND, line_time, parse_note, parse_vkey
from ledger.core.trust import Finding, TrustState, judge_freshness, newest_line
from ledger.engine.forkguard import RESTORED
from ledger.engine.replica import HALTED, TRUST
from ledger.engine.signing import placed_roots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.client.copy import Copy
    from ledger.core.root import Root
    from ledger.core.trust import Freshness
    from ledger.engine.snapshot import Snapshot


def freshness(snapshot: Snapshot, now: int) -> Freshness:
    """Return how fresh what is stored is: by the trust state of a replica, by the newest note of a log."""
    roots = placed_roots(snapshot.connection)
    root = roots[-1].root if roots else None
    standing = Standing.read(snapshot)
    if standing is not None:
        block = standing.known.agreed
        return judge_freshness(None if block is None else block.time, root, now)
    text = snapshot.meta(TRUST)
    if text is not None and root is not None:
        return judge_freshness(newest_line(TrustState.from_json(str(text)), root), root, now)
    note = snapshot.checkpoint()
    return judge_freshness(None if note is None or root is None else _clock_time(note, root), root, now)


def _clock_time(note: bytes, root: Root) -> int | None:
    """Return the time of the clock line in a note of this machine's own log."""
    keys = [key for key in map(parse_vkey, root.clock_keys) if key.kind == CLOCK_KIND]
    lines = (line for key in keys for line in parse_note(note).lines_of(key))
    return max((line_time(line) for line in lines), default=None)


async def describe(copy: Copy) -> dict[str, object]:
    """Return the facts of `status`. `state` is ok, stale, unreachable or alarm; `advice` says what to do."""
    place = copy.place
    now = int(place.clock.now())

    def work(snapshot: Snapshot) -> dict[str, object]:
        head, fresh = snapshot.head(), freshness(snapshot, now)
        text = snapshot.meta(TRUST)
        trust = None if text is None else TrustState.from_json(str(text))
        return {
            "size": head.size,
            "root": head.root.hex(),
            "void": sum(1 for _ in all_voids(snapshot)),
            "breaches": find_slips(snapshot).facts(),
            "freshness": fresh.level.value,
            "newest_line": None if fresh.time is None else format_time(fresh.time),
            "why": fresh.reason or None,
            "chain": _chain(snapshot, head.size),
            "alarms": [*_stopping(trust), *_wrong_marks(snapshot)],
            "halted": snapshot.meta(HALTED),
            "fork_risk": snapshot.meta(RESTORED) if copy.is_log else None,
            "went_back": [] if trust is None else [f"{one.old_size} to {one.size} by root {one.version}" for one in trust.went_back],
        }

    facts = await copy.store.read(work)
    settings = place.settings
    ledger, error = await _ask(copy)
    present = await asyncio.to_thread(place.at_present)  # the question may have found that the master moved
    identity: dict[str, object] = {"network": settings.network, "role": settings.role, "name": settings.name, "ledger": present.url.text}
    identity["moved"] = None if place.foreign or place.is_master else await asyncio.to_thread(Moving(present).facts)
    signs = await asyncio.to_thread(_signs, copy)
    state, advice = _of_error(error, on_chain=place.url.on_chain) or _conclude(facts, ledger, copy, signs=signs)
    return {"state": state, **identity, **facts, **ledger, "advice": advice}


def _chain(snapshot: Snapshot, size: int) -> dict[str, object] | None:
    """Return how the copy stands to the chain that orders it, None for a log with notes."""
    standing = Standing.read(snapshot)
    if standing is None:
        return None
    block = standing.known.agreed
    final = None if block is None else {"height": block.height, "hash": block.hash, "time": format_time(block.time)}
    return {"final_size": standing.final_size, "final_block": final, "remarks": list(standing.remarks(size))}


def _stopping(trust: TrustState | None) -> list[dict[str, str]]:
    alarms = () if trust is None else trust.alarms
    return [{"name": one.name, "kind": one.kind.value, "finding": one.evidence.finding, "reason": one.evidence.reason} for one in alarms]


def _wrong_marks(snapshot: Snapshot) -> list[dict[str, str]]:
    return [
        {"name": one.name, "kind": STATE_ROOT, "finding": Finding.WRONG_STATE_ROOT.value, "reason": one.reason}
        for one in read_audit(snapshot)[1]
    ]


@runtime_checkable
class Provided(Protocol):
    """A backend that is read through providers: a chain's."""

    def providers(self) -> Sequence[Mapping[str, object]]:
        """Return how each is."""
        ...


@runtime_checkable
class Paid(Protocol):
    """A backend that somebody pays to write."""

    async def payer(self) -> Mapping[str, object] | None:
        """Return the account that pays for what this home writes, with what keeps it from that; None where there is none."""
        ...


async def _ask(copy: Copy) -> tuple[dict[str, object], LedgerError | None]:
    """Ask the ledger for its head, and give what kept it from answering; an answer is no proof here, only a sign of life."""
    if copy.place.embedded:
        return {"ledger_size": await copy.size(), "ledger_error": None}, None
    facts: dict[str, object] = {"ledger_size": None, "ledger_error": None}
    try:
        backend = await copy.backend()
        try:
            facts["ledger_size"] = (await backend.head()).size
        finally:
            if isinstance(backend, Provided):
                facts["providers"] = list(backend.providers())
        if isinstance(backend, Paid):
            facts["account"] = await backend.payer()
    except LedgerError as error:
        facts["ledger_error"] = f"{error.message} [{error.code}]"
        return facts, error
    return facts, None


def _signs(copy: Copy) -> bool:
    """Tell whether this home holds a key that signs the log."""
    return copy.is_log and any(name == "log" or name.startswith("log-") for name in copy.place.keys.names())


def _of_error(error: LedgerError | None, *, on_chain: bool) -> tuple[str, str | None] | None:
    """Return state and advice when the ledger contradicts itself or what was final, or a chain says what is wrong; None otherwise."""
    if isinstance(error, AlarmError):
        return "alarm", error.hint
    named = isinstance(error, BadSourceError) or (on_chain and error is not None)
    return ("unreachable", f"Reads go on from the local copy. {error.hint}") if error is not None and named else None


def _conclude(facts: dict[str, object], ledger: dict[str, object], copy: Copy, *, signs: bool) -> tuple[str, str | None]:
    if facts["fork_risk"] is not None and signs:
        advice = "Nothing is signed: bring newer entries back with `restore FILE --from URL`, then accept the size: docs/cli.md."
        return "alarm", advice
    if facts["alarms"]:
        return "alarm", "Keep the evidence directory, compare with other nodes, and tell the network's admins."
    if facts["halted"] is not None:
        return "stale", "The network uses a newer fold: install a newer metaledger."
    if ledger["ledger_error"] is not None:
        if copy.place.is_master:
            return "unreachable", "The master does not run: start it with `ledger-cli run master`."
        return "unreachable", "Reads go on from the local copy. Check the URL, the network and the server."
    if facts["freshness"] != "fresh" and not copy.is_log:
        return "stale", "Run `ledger-cli sync`, or start the agent with `ledger-cli run node`."
    account = ledger.get("account")
    if isinstance(account, dict) and account["problem"] is not None:
        return "ok", f"This home cannot write: {account['problem']}. {account['advice']}"
    breaches = facts["breaches"]
    if isinstance(breaches, dict) and (breaches["count"] or breaches["unusable_schemas"]):
        return "ok", "Some policies or schemas break rules that the ledger itself does not keep: see `breaches`, and docs/kinds.md."
    return "ok", None
