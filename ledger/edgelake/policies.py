"""One policy of theirs: what it is here, and how ours is written for them.

Their `member`, `permissions` and `assignment` say who may do what in their network. Here they say nothing: kinds that
are authority in our log (FORMATS 1) stand under `anylog-…` and go back under their own names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ledger.core.canonical import AUTHORITY_KINDS, encode, is_id, is_kind, load
from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS
from ledger.kinds.words import shown

if TYPE_CHECKING:
    from ledger.core.canonical import JSON, JSONObject

PREFIX: Final = "anylog-"
CHANGES: Final = "anmp"
DELETED: Final = "deleted"
OWN: Final = frozenset({"id", "date", "ledger"})  # of an anmp policy itself
LONGEST: Final = 4 * LIMITS.statement  # bytes of a policy as it is spelled: escapes and blanks take room that its statement does not


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that is to stand as it is. `number` counts what the file says, from 1; without `id` it gets the one of its content."""

    number: int
    line: int
    kind: str
    id: str | None
    body: JSONObject


@dataclass(frozen=True, slots=True)
class Change:
    """What an `anmp` policy says of one policy: attributes that take the place of those it has. The newest `date` has the last word."""

    number: int
    line: int
    id: str
    attributes: JSONObject
    date: str


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a `deleted` policy says: the policy of that id is gone."""

    number: int
    line: int
    id: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not taken over, and why. `pointer` names the attribute (RFC 6901), `other` the policy that stands in the way."""

    number: int
    line: int
    kind: str | None
    id: str | None
    code: str
    reason: str
    pointer: str | None = None
    other: str | None = None

    def facts(self) -> dict[str, object]:
        """Return what programs get."""
        facts = {name: getattr(self, name) for name in ("line", "kind", "id", "code", "reason")}
        more = {name: getattr(self, name) for name in ("pointer", "other")}
        return facts | {name: value for name, value in more.items() if value is not None}

    def text(self) -> str:
        """Return it in one line."""
        named = " ".join(word for word in (self.kind, self.id) if word)
        return f"line {self.line}: {named}{': ' if named else ''}{self.reason}"


def our_kind(kind: str) -> str:
    """Return the kind under which theirs stands here: no authority of ours in any case of its letters."""
    return PREFIX + kind if kind.lower() in AUTHORITY_KINDS else kind


def their_kind(kind: str) -> str | None:
    """Return the kind under which ours goes to them; None for authority of ours, which means nothing there."""
    if kind in AUTHORITY_KINDS:
        return None
    bare = kind.removeprefix(PREFIX)
    return bare if bare.lower() in AUTHORITY_KINDS else kind


def load_policy(text: bytes) -> tuple[str, JSONObject]:
    """Return root key and content of a policy of theirs. FormatError says what is wrong."""
    if len(text) > LONGEST:
        raise FormatError(f"{len(text)} bytes; a policy has at most {LIMITS.body}")
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"not UTF-8 at byte {error.start + 1}") from error
    value = load(text)
    if not isinstance(value, dict):
        raise FormatError("no object")
    if len(value) != 1:
        raise FormatError(f"{len(value)} root keys; a policy has one, its kind")
    ((kind, content),) = value.items()
    if not isinstance(content, dict):
        raise FormatError(f"{shown(kind)} holds no object")
    return kind, content


def as_policy(number: int, line: int, kind: str, content: JSONObject) -> Policy:
    """Return a policy as it stands here. `id` names it, `ledger` says where it was seen: neither is part of the body."""
    ours = our_kind(kind)
    if not is_kind(ours):
        raise FormatError(f"{shown(kind)} is no kind: a letter, then at most 63 letters, digits, _ or -")
    policy_id = content.get("id")
    body = {name: value for name, value in content.items() if name not in {"id", "ledger"}}
    size = len(encode(body))
    if size > LIMITS.body:
        raise FormatError(f"a body of {size} bytes; at most {LIMITS.body}")
    return Policy(number, line, ours, None if policy_id is None else _id(policy_id), body)


def as_changes(number: int, line: int, content: JSONObject) -> list[Change]:
    """Return what an `anmp` policy changes, numbered from `number` on: {"anmp": {TARGET: {attribute: value}, "date": …}}."""
    targets = [name for name in content if name not in OWN]
    if not targets:
        raise FormatError("it names no policy to change")
    date = content.get("date")
    when = date if isinstance(date, str) else ""
    return [Change(number + place, line, _id(one), _attributes(content[one]), when) for place, one in enumerate(targets)]


def as_deletion(number: int, line: int, content: JSONObject) -> Deletion:
    """Return what a `deleted` policy takes away: {"deleted": {"id": …}}."""
    if "id" not in content:
        raise FormatError("it names no policy that is gone")
    return Deletion(number, line, _id(content["id"]))


def policy_line(kind: str, content: JSONObject) -> bytes:
    """Return a line of their file. It is ASCII, for programs that read it in another encoding."""
    return json.dumps({kind: content}, ensure_ascii=True, allow_nan=False).encode() + b"\n"


def _attributes(value: JSON) -> JSONObject:
    if not isinstance(value, dict):
        raise FormatError("what it changes is no object")
    if "id" in value or "ledger" in value:
        raise FormatError("it changes id or ledger, which are no attributes")
    return value


def _id(value: JSON) -> str:
    if not is_id(value):
        raise FormatError(f"{shown(value)} is no id: 1 to 128 letters, digits or . _ : @ -, the first a letter or digit")
    return value
