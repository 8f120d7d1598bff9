"""The bodies of authority kinds: exactly the members named, and optionally `note` (FORMATS 6)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ledger.core.canonical import (
    AUTHORITY_KINDS,
    JSON,
    JSONObject,
    encode,
    is_hex64,
    is_id,
    is_id_set,
    is_integer,
    is_kind,
    is_name,
    is_text_set,
    is_time,
)
from ledger.core.errors import FormatError
from ledger.core.keys import is_key
from ledger.core.limits import LIMITS
from ledger.core.root import parse_root
from ledger.core.statement import OPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEMBER_TYPES: Final = ("admin", "node", "user", "service")
UNLISTED_KINDS: Final = frozenset({"root", "mark", "permissions", "schema"})
MOST_UNIQUE: Final = 16
MOST_REFS: Final = 64


def check_body(kind: str, body: JSONObject) -> None:
    """Check the body of an authority kind; of any other kind every object is one. Raises FormatError."""
    check = _CHECKS.get(kind)
    if check is not None:
        check(body)


def _members(body: JSONObject, required: set[str], optional: str = "note") -> None:
    if body.keys() - {"note", optional} != required:
        raise FormatError(f"the members of such a body are {', '.join(sorted(required))}")
    _require("note" not in body or isinstance(body["note"], dict), "note is an object")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise FormatError(message)


def _root(body: JSONObject) -> None:
    parse_root(body)


def _mark(body: JSONObject) -> None:
    _members(body, {"time", "state"})
    _require(is_time(body["time"]), "the time of a mark is a time")
    state = body["state"]
    if state is None:
        return
    if not isinstance(state, dict) or state.keys() != {"size", "root"}:
        raise FormatError("the state of a mark is null, or a size and a root")
    _require(is_integer(state["size"]) and is_hex64(state["root"]), "size is an integer, root 64 hex digits")


def _permissions(body: JSONObject) -> None:
    _members(body, {"name", "allow", "grant"})
    _require(is_name(body["name"]), "name has not the form of a name")
    _require(is_id_set(body["grant"]), "grant is a set of ids")
    allows = body["allow"]
    _require(isinstance(allows, list) and all(map(_is_allow, allows)), "allow is a list of ops, kinds and scope")


def _is_allow(allow: JSON) -> bool:
    if not isinstance(allow, dict) or allow.keys() != {"ops", "kinds", "scope"}:
        return False
    ops, kinds = allow["ops"], allow["kinds"]
    if not is_text_set(ops) or not is_text_set(kinds) or any(op not in OPS for op in ops):
        return False
    if not all(kind == "*" or (is_kind(kind) and kind not in UNLISTED_KINDS) for kind in kinds):
        return False
    return _is_scope(allow["scope"])


def _is_scope(scope: JSON) -> bool:
    if not isinstance(scope, dict) or not scope.keys() <= {"own", "attr"} or scope.get("own", True) is not True:
        return False
    attr = scope.get("attr", {"-": ["-"]})
    return isinstance(attr, dict) and attr != {} and all(is_text_set(values) and values != [] for values in attr.values())


def _member(body: JSONObject) -> None:
    _members(body, {"name", "type", "key", "permissions"}, "invite")
    _identity(body)
    _require("invite" not in body or is_id(body["invite"]), "invite is an id")


def _invite(body: JSONObject) -> None:
    _members(body, {"name", "type", "key", "permissions", "expires"})
    _identity(body)
    _require(is_time(body["expires"]), "expires is a time")


def _identity(body: JSONObject) -> None:
    _require(is_name(body["name"]), "name has not the form of a name")
    _require(body["type"] in MEMBER_TYPES, "type is admin, node, user or service")
    _require(is_key(body["key"]), "key has not the form of a key")
    _require(is_id_set(body["permissions"]), "permissions is a set of ids")


def _assignment(body: JSONObject) -> None:
    _members(body, {"members", "permissions"})
    members, permissions = body["members"], body["permissions"]
    if not is_id_set(members) or not is_id_set(permissions):
        raise FormatError("members and permissions are sets of ids")
    _require(len(members) * len(permissions) <= LIMITS.set_size, "members times permissions is more than 1,024")


def _schema(body: JSONObject) -> None:
    _members(body, {"kind", "unique", "refs"}, "json_schema")
    _require(is_kind(body["kind"]) and body["kind"] not in AUTHORITY_KINDS, "a schema is for a kind that is no authority kind")
    unique, refs = body["unique"], body["refs"]
    if not isinstance(unique, list) or not isinstance(refs, list):
        raise FormatError("unique and refs are lists")
    _require(all(is_text_set(names) and names != [] for names in unique), "unique is a list of non-empty sets")
    _require(all(map(_is_ref, refs)), "refs is a list of attr, kind and drop; drop is keep for authority kinds")
    _require(_are_different(unique, MOST_UNIQUE) and _are_different(refs, MOST_REFS), "unique or refs: too many, or one twice")


def _is_ref(ref: JSON) -> bool:
    if not isinstance(ref, dict) or ref.keys() != {"attr", "kind", "drop"}:
        return False
    if not isinstance(ref["attr"], str) or not is_kind(ref["kind"]):
        return False
    return ref["drop"] == "keep" or (ref["drop"] == "refuse" and ref["kind"] not in AUTHORITY_KINDS)


def _are_different(items: list[JSON], most: int) -> bool:
    return len(items) <= most and len({encode(item) for item in items}) == len(items)


_CHECKS: Final[Mapping[str, Callable[[JSONObject], None]]] = MappingProxyType(
    {
        "root": _root,
        "mark": _mark,
        "permissions": _permissions,
        "member": _member,
        "invite": _invite,
        "assignment": _assignment,
        "schema": _schema,
    }
)
