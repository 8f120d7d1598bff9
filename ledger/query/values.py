"""Values as queries see them: words that look like numbers, times and networks, and when two values are equal or in order.

Numbers are compared with numbers, text with text, moments with text that spells one. Two values of different types are neither equal
nor in order. `true` and `false` are no numbers.
"""

from __future__ import annotations

import operator
import re
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

from ledger.core.limits import LIMITS
from ledger.query.tree import Among, Compare, FromNow, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ledger.query.tree import Network, Value

    Test = Callable[[object], bool]

NS: Final = 1_000_000_000
DAY: Final = 86_400
SPAN_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY, "w": 7 * DAY}
LONGEST_SPAN: Final = 10_000 * 366 * DAY

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?P<fraction>\.[0-9]+)?(?P<exponent>[eE][+-]?[0-9]+)?", re.ASCII)
_TIME: Final = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)
_NETWORK: Final = re.compile(r"[0-9A-Fa-f:.]*[:.][0-9A-Fa-f:.]*/[0-9.]+", re.ASCII)
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()

RELATIONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERS: Final = frozenset({"<", "<=", ">", ">="})


def number_of(word: str) -> int | float | None:
    """Return the number that a word spells as JSON does, None for another word. OverflowError beyond every number of a policy."""
    found = _NUMBER.fullmatch(word)
    if found is None:
        return None
    if not abs(float(word)) <= LIMITS.number:
        raise OverflowError(word)
    return float(word) if found["fraction"] or found["exponent"] else int(word)


def moment_of(text: str) -> Moment | None:
    """Return the moment that text spells: a date, or a date and a time of ISO 8601; without a zone, in UTC. None for other text."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    try:
        day = date.fromisoformat(found["date"]).toordinal() - _FIRST_DAY
    except ValueError:
        return None
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    offset = _zone_seconds(found["zone"])
    if hour > 23 or minute > 59 or second > 59 or offset is None:  # noqa: PLR2004 - the clock's own numbers
        return None
    seconds = day * DAY + hour * 3_600 + minute * 60 + second - offset
    return Moment(seconds * NS + int((found["fraction"] or "").ljust(9, "0")))


def is_like_moment(text: str) -> bool:
    """Tell whether text has the form of a moment, whether or not there is such a day and time."""
    return _TIME.fullmatch(text) is not None


def _zone_seconds(zone: str | None) -> int | None:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - the clock's own numbers
        return None
    return (hours * 3_600 + minutes * 60) * (1 if zone[0] == "+" else -1)


def network_of(word: str) -> Network | None:
    """Return the network that a word spells (`10.0.0.0/8`); None for a word that looks like none. ValueError for one that only looks so."""
    return ip_network(word) if _NETWORK.fullmatch(word) else None


def is_within(text: str, network: Network) -> bool:
    """Tell whether text spells an address of the network, in the same version of IP."""
    try:
        return ip_address(text) in network
    except ValueError:
        return False


def at(value: Value, now: int) -> Value:
    """Return the value with `now` put in: Unix seconds."""
    return Moment((now + value.seconds) * NS) if isinstance(value, FromNow) else value


def shift(moment: Moment, seconds: int) -> str | None:
    """Return the day (`YYYY-MM-DD`, UTC) of so many seconds after a moment, None outside the years 1 to 9999."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment.ns // NS + seconds)).date().isoformat()
    except OverflowError:
        return None


def test_of(leaf: Compare | Among, now: int) -> Test:
    """Return what tells of one value, no list, whether it meets the leaf."""
    if isinstance(leaf, Among):
        return _among(leaf)
    wanted = at(leaf.value, now)
    if leaf.op in RELATIONS:
        return _related(RELATIONS[leaf.op], wanted, ci=leaf.ci)
    return _text_test(leaf.op, str(wanted), ci=leaf.ci)


def _related(relation: Callable[[Any, Any], bool], wanted: Value, *, ci: bool) -> Test:
    if isinstance(wanted, Moment):
        return lambda value: isinstance(value, str) and (found := moment_of(value)) is not None and relation(found.ns, wanted.ns)
    if isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        if ci:
            folded = wanted.casefold()
            return lambda value: isinstance(value, str) and relation(value.casefold(), folded)
        return lambda value: isinstance(value, str) and relation(value, wanted)
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and relation(value, wanted)


def _text_test(op: str, wanted: str, *, ci: bool) -> Test:
    find: Callable[[str, str], bool] = {"contains": str.__contains__, "startswith": str.startswith, "endswith": str.endswith}.get(
        op, is_child
    )
    if ci:
        folded = wanted.casefold()
        return lambda value: isinstance(value, str) and find(value.casefold(), folded)
    return lambda value: isinstance(value, str) and find(value, wanted)


def is_child(text: str, parent: str) -> bool:
    """Tell whether a path as text lies directly below `parent`, whose last character is the separator (AnyLog's `childfrom`)."""
    rest = text.removeprefix(parent).removesuffix(parent[-1:])
    return len(parent) > 1 and text.startswith(parent) and rest != "" and parent[-1] not in rest


def _among(leaf: Among) -> Test:
    networks: list[Network] = []
    moments: set[int] = set()
    texts: set[str] = set()
    others: set[tuple[bool, object]] = set()
    for member in leaf.values:
        if isinstance(member, str):
            texts.add(member.casefold() if leaf.ci else member)
        elif isinstance(member, Moment):
            moments.add(member.ns)
        elif isinstance(member, bool | int | float):
            others.add((isinstance(member, bool), member))
        elif not isinstance(member, FromNow):
            networks.append(member)

    def test(value: object) -> bool:
        if not isinstance(value, str):
            return isinstance(value, bool | int | float) and (isinstance(value, bool), value) in others
        if (value.casefold() if leaf.ci else value) in texts or any(is_within(value, network) for network in networks):
            return True
        return bool(moments) and (found := moment_of(value)) is not None and found.ns in moments

    return test
