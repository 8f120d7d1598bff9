"""Which final block of a chain is known, when several providers report (FORMATS 11). Pure; the follower asks and stores.

1. Known is the highest final block that at least two providers report with the same hash. A single provider is believed,
    and `status` says so.
2. A provider whose final block is below the one agreed on lags; with only two, it holds the node, and is named.
3. Two hashes for one final height are an alarm that names both providers and both hashes.
4. A final block that changes, at the height agreed on before, is an alarm too.
5. An alarm stays until the operator ends it. Nothing is agreed on meanwhile.
6. A block that is reported again, as the final one, is as fresh as the newest time that enough providers give it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ledger.core.errors import CorruptError, NotFoundError
from ledger.core.trust import codec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 1
DECIDE = "Nothing is taken. Ask other providers, and find out why; then `ledger-cli sync --accept-chain WORDS` reads the chain anew."
QUORUM = 2


@dataclass(frozen=True, slots=True)
class FinalBlock:
    """A block that its provider calls final: height, hash, and the time in its header."""

    height: int
    hash: str
    time: int


@dataclass(frozen=True, slots=True)
class Report:
    """What one provider says: its highest final block, and its hash at every height that `NeedHashes` asked it for."""

    provider: str
    final: FinalBlock
    hashes: Mapping[int, FinalBlock]

    def at(self, height: int) -> FinalBlock | None:
        """Return the provider's block at a height; None if it was not asked."""
        return self.final if height == self.final.height else self.hashes.get(height)


class ChainAlarmKind(StrEnum):
    """What is wrong with the chain or those who tell of it."""

    PROVIDERS_DIFFER = "providers-differ"
    FINAL_CHANGED = "final-block-changed"


@dataclass(frozen=True, slots=True)
class Claim:
    """That a provider (or `agreed`: what was known before) has `hash` at `height`."""

    provider: str
    height: int
    hash: str


@dataclass(frozen=True, slots=True)
class ChainAlarm:
    """Claims that contradict each other; following stops."""

    kind: ChainAlarmKind
    at: int
    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True)
class EndedChainAlarm:
    """An alarm that the operator ended, in whose words."""

    alarm: ChainAlarm
    words: str
    at: int


@dataclass(frozen=True, slots=True)
class ChainState:
    """The final block agreed on, who lags behind it, whether it is only believed, and the alarm."""

    agreed: FinalBlock | None = None
    believed: bool = False
    laggards: tuple[str, ...] = ()
    alarm: ChainAlarm | None = None
    ended: tuple[EndedChainAlarm, ...] = ()
    version: int = VERSION

    def to_json(self) -> str:
        """Return the state as JSON text."""
        return codec.write(self)

    @classmethod
    def from_json(cls, text: str) -> ChainState:
        """Return the state that `to_json` wrote. CorruptError for anything else."""
        state = codec.read(cls, text)
        if state.version != VERSION:
            raise CorruptError(f"the stored chain state has version {state.version}, not {VERSION}")
        return state


@dataclass(frozen=True, slots=True)
class NeedHashes:
    """Ask these providers for their block at these heights, all of them final there; then judge all reports again."""

    wanted: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """Entries up to `block` may be folded. `moved` is False when it is the block known before."""

    block: FinalBlock
    moved: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """No final block is agreed on yet: fewer than two providers answer where two are asked, or none has one."""


def judge_reports(
    state: ChainState, reports: Sequence[Report], now: int, *, providers: int
) -> tuple[ChainState, NeedHashes | Agreed | Waiting | ChainAlarm]:
    """Judge what providers report at `now`; `providers` is how many are configured, answering or not."""
    if state.alarm is not None:  # 5
        return state, state.alarm
    needed = min(QUORUM, providers)
    heights = sorted((report.final.height for report in reports), reverse=True)
    if needed == 0 or len(heights) < needed:
        return state, Waiting()
    height = heights[needed - 1]  # 1
    checked = [height] if state.agreed is None else sorted({height, state.agreed.height})
    missing = [(one.provider, at) for one in reports for at in checked if at <= one.final.height and one.at(at) is None]
    if missing:
        return state, NeedHashes(tuple(missing))
    alarms = [_find_alarm(state, reports, at, now) for at in checked]
    alarm = next((found for found in alarms if found is not None), None)
    if alarm is not None:
        return replace(state, alarm=alarm), alarm
    top = max(height, -1 if state.agreed is None else state.agreed.height)
    laggards = tuple(one.provider for one in reports if one.final.height < max(top, heights[0]))  # 2
    state = replace(state, laggards=laggards, believed=providers == 1)
    if state.agreed is not None and state.agreed.height >= height:
        refreshed = _refreshed(state.agreed, reports, needed)  # 6
        return replace(state, agreed=refreshed), Agreed(refreshed, moved=False)
    block = next(found for found in (one.at(height) for one in reports) if found is not None)
    return replace(state, agreed=block), Agreed(block, moved=True)


def _refreshed(agreed: FinalBlock, reports: Sequence[Report], needed: int) -> FinalBlock:
    """Return the block agreed on with the newest time that enough providers give it: an idle channel makes no block, and tells the time."""
    times = sorted((one.final.time for one in reports if one.final.height == agreed.height), reverse=True)
    return replace(agreed, time=max(agreed.time, times[needed - 1])) if len(times) >= needed else agreed


def _find_alarm(state: ChainState, reports: Sequence[Report], height: int, now: int) -> ChainAlarm | None:
    claims = [Claim(one.provider, height, block.hash) for one in reports if (block := one.at(height)) is not None]
    agreed = state.agreed
    counts = Counter(claim.hash for claim in claims)
    if agreed is not None and agreed.height == height and counts and agreed.hash not in counts:  # 4
        return ChainAlarm(ChainAlarmKind.FINAL_CHANGED, now, (Claim("agreed", height, agreed.hash), *claims))
    if len(counts) > 1:  # 3
        return ChainAlarm(ChainAlarmKind.PROVIDERS_DIFFER, now, tuple(claims))
    return None


def end_chain_alarm(state: ChainState, words: str, now: int, *, forget: bool) -> ChainState:
    """Return the state after the operator's decision, kept with the alarm.

    With `forget` the block agreed on is given up: the replica must be rebuilt from a height that all agree on.
    NotFoundError without an alarm.
    """
    if state.alarm is None:
        raise NotFoundError("there is no alarm about this chain")
    ended = (*state.ended, EndedChainAlarm(state.alarm, words, now))[-16:]
    return replace(state, alarm=None, ended=ended, agreed=None if forget else state.agreed)
