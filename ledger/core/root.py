"""The root policy: who rules a network, and by which numbers (FORMATS 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.core.canonical import JSON, JSONObject, is_integer, is_name, is_text_set, is_time
from ledger.core.errors import FormatError
from ledger.core.keys import PublicKey, is_key_set

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMBERS: Final = frozenset(
    {"name", "origin", "version", "fold", "order", "admins", "threshold", "authority_threshold", "log_keys", "clock_keys"}
    | {"mark_keys", "witnesses", "quorum", "fresh_for", "stale_after", "state_every", "expires"}
)
_MOST_ADMINS: Final = 16


@dataclass(frozen=True, slots=True)
class Admin:
    """One who may sign as root."""

    name: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class LogKey:
    """A verifier key of the log, closed at size `until` if that is given."""

    vkey: str
    until: int | None


@dataclass(frozen=True, slots=True)
class Root:
    """The body of one version of the root. What vkeys, origin and order say is not the fold's business."""

    name: str
    origin: str
    version: int
    fold: int
    order: JSONObject
    admins: tuple[Admin, ...]
    threshold: int
    authority_threshold: int
    log_keys: tuple[LogKey, ...]
    clock_keys: tuple[str, ...]
    mark_keys: tuple[PublicKey, ...]
    witnesses: tuple[str, ...]
    quorum: int
    fresh_for: int
    stale_after: int
    state_every: int
    expires: str | None

    @property
    def admin_keys(self) -> Mapping[str, PublicKey]:
        """Return the admins' keys by keyid."""
        return {admin.key.keyid: admin.key for admin in self.admins}

    @property
    def body(self) -> JSONObject:
        """Return the policy body that `parse_root` gives this root for (without a `note`)."""
        admins: list[JSON] = [{"name": admin.name, "key": admin.key.text} for admin in self.admins]
        log_keys: list[JSON] = [{"vkey": key.vkey, "until": key.until} for key in self.log_keys]
        return {
            "name": self.name,
            "origin": self.origin,
            "version": self.version,
            "fold": self.fold,
            "order": self.order,
            "admins": admins,
            "threshold": self.threshold,
            "authority_threshold": self.authority_threshold,
            "log_keys": log_keys,
            "clock_keys": list(self.clock_keys),
            "mark_keys": [key.text for key in self.mark_keys],
            "witnesses": list(self.witnesses),
            "quorum": self.quorum,
            "fresh_for": self.fresh_for,
            "stale_after": self.stale_after,
            "state_every": self.state_every,
            "expires": self.expires,
        }


def parse_root(body: JSON) -> Root:
    """Return the root of a body. Raises FormatError. Keys that are bound elsewhere are the fold's to refuse."""
    if not isinstance(body, dict) or body.keys() - {"note"} != MEMBERS:
        raise FormatError("a root has exactly its seventeen members, and perhaps a note")
    if not isinstance(body.get("note", {}), dict):
        raise FormatError("note is an object")
    admins = _admins(body["admins"])
    mark_keys = body["mark_keys"]
    if not is_key_set(mark_keys):
        raise FormatError("mark_keys is a set of keys")
    marks = tuple(map(PublicKey.parse, mark_keys))
    if not {admin.key for admin in admins}.isdisjoint(marks):
        raise FormatError("a mark key is no admin's key")
    expires = body["expires"]
    if expires is not None and not is_time(expires):
        raise FormatError("expires is a time or null")
    order = body["order"]
    if not isinstance(order, dict) or not isinstance(order.get("type"), str):
        raise FormatError("order is an object with a type")
    if not is_name(body["name"]):
        raise FormatError("name has not the form of a name")
    return Root(
        name=body["name"],
        origin=_text(body, "origin"),
        version=_count(body, "version", 1),
        fold=_count(body, "fold", 1),
        order=order,
        admins=admins,
        threshold=_threshold(body, "threshold", len(admins)),
        authority_threshold=_threshold(body, "authority_threshold", len(admins)),
        log_keys=_log_keys(body["log_keys"]),
        clock_keys=_texts(body, "clock_keys"),
        mark_keys=marks,
        witnesses=_texts(body, "witnesses"),
        quorum=_count(body, "quorum", 0),
        fresh_for=_count(body, "fresh_for", 0),
        stale_after=_count(body, "stale_after", 0),
        state_every=_count(body, "state_every", 1),
        expires=expires,
    )


def admins_of(body: JSONObject) -> tuple[dict[str, PublicKey], int]:
    """Return the admins' keys by keyid and the authority threshold of an accepted root, without parsing the rest."""
    keys = [admin.key for admin in _admins(body["admins"])]
    return {key.keyid: key for key in keys}, _count(body, "authority_threshold", 1)


def _admins(value: JSON) -> tuple[Admin, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_ADMINS:
        raise FormatError(f"admins is a list of 1 to {_MOST_ADMINS}")
    admins = []
    for member in value:
        if not isinstance(member, dict) or member.keys() != {"name", "key"} or not is_name(member["name"]):
            raise FormatError("an admin has a name and a key")
        admins.append(Admin(member["name"], PublicKey.parse(member["key"])))
    if len({admin.key for admin in admins}) != len(admins):
        raise FormatError("two admins have one key")
    return tuple(admins)


def _log_keys(value: JSON) -> tuple[LogKey, ...]:
    if not isinstance(value, list):
        raise FormatError("log_keys is a list")
    keys = []
    for member in value:
        if not isinstance(member, dict) or member.keys() != {"vkey", "until"}:
            raise FormatError("a log key has a vkey and until")
        until = member["until"]
        if until is not None and not is_integer(until):
            raise FormatError("until is a size or null")
        keys.append(LogKey(_text(member, "vkey"), until))
    return tuple(keys)


def _text(body: JSONObject, name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise FormatError(f"{name} is text")
    return value


def _texts(body: JSONObject, name: str) -> tuple[str, ...]:
    value = body[name]
    if not is_text_set(value):
        raise FormatError(f"{name} is a set of texts")
    return tuple(map(str, value))


def _count(body: JSONObject, name: str, least: int) -> int:
    value = body[name]
    if not is_integer(value, least):
        raise FormatError(f"{name} is an integer of at least {least}")
    return value


def _threshold(body: JSONObject, name: str, most: int) -> int:
    value = _count(body, name, 1)
    if value > most:
        raise FormatError(f"{name} is at most the number of admins")
    return value
