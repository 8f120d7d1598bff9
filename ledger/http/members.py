"""Who the members of a network are, answered from the state: what tokens and certificates are checked against.

Look-ups are a few microseconds on the event loop; the verifier asks again only when `revision` moved, and that moves only
when an entry of an authority kind was accepted.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from auth.ports import Invite, Member
from ledger.core.canonical import parse_time
from ledger.core.keys import PublicKey
from ledger.core.rights import rights_of
from ledger.core.state import lookup_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ledger.core.state import Record, StateView
    from ledger.engine.snapshot import Snapshot

T = TypeVar("T")

# A statement is canonical JSON, so its own `id`, `kind` and `ledger` always follow each other. A body that imitates this costs a look-up.
RIGHTS = re.compile(rb'"id":"([^"]{1,128})","kind":"(?:assignment|invite|member|permissions|root)","ledger":"')
INVITE = re.compile(rb'"invite":"([^"]{1,128})"')
PAYLOAD_START = len(b'{"payload":"')


class PointReads(Protocol):
    """Short reads in the calling thread (`ledger.engine.store.Store` has this)."""

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot."""
        ...


class StateMembers:
    """`auth.ports.MemberKeys` over the stored state. Call `moved` after every entry of an authority kind."""

    def __init__(self, reads: PointReads) -> None:
        self._reads = reads
        self._revision = 0

    def moved(self) -> None:
        """Note that any answer may differ from now on."""
        self._revision += 1

    def revision(self) -> int:
        """Return a number that differs whenever any other answer may differ."""
        return self._revision

    def member_of_key(self, keyid: str) -> Member | None:
        """Return the live member whose present key is `keyid`."""

        def work(snapshot: Snapshot) -> Member | None:
            state = snapshot.state()
            record = bound_record(state, keyid, "member")
            return None if record is None else member_of(state, record)

        return self._reads.read_now(work)

    def member_named(self, name: str) -> Member | None:
        """Return the live member of that name."""

        def work(snapshot: Snapshot) -> Member | None:
            state = snapshot.state()
            for policy_id in state.filed(lookup_name(name)):
                record = state.record(policy_id)
                if record is not None and record.live and record.kind == "member" and record.content["name"] == name:
                    return member_of(state, record)
            return None

        return self._reads.read_now(work)

    def invite_of_key(self, keyid: str) -> Invite | None:
        """Return the live invite with that key, expired or not."""

        def work(snapshot: Snapshot) -> Invite | None:
            record = bound_record(snapshot.state(), keyid, "invite")
            if record is None:
                return None
            body = record.content
            key = PublicKey.parse(body["key"])
            return Invite(record.id, str(body["name"]), str(body["type"]), key, parse_time(str(body["expires"])))

        return self._reads.read_now(work)


def bound_record(state: StateView, keyid: str, kind: str) -> Record | None:
    """Return the live member or invite whose present key is `keyid`."""
    bound = state.key(keyid)
    record = None if bound is None else state.record(bound.id)
    if record is None or not record.live or record.kind != kind:
        return None
    return record if PublicKey.parse(record.content["key"]).keyid == keyid else None


def member_of(state: StateView, record: Record) -> Member:
    """Return the identity that a live member policy describes."""
    body = record.content
    rights = frozenset(str(permissions.content["name"]) for permissions in rights_of(state, record))
    return Member(record.id, str(body["name"]), str(body["type"]), PublicKey.parse(body["key"]), rights)


@dataclass(frozen=True, slots=True)
class Touched:
    """What entries may have changed: any right at all, and which members and invites may be live no more, or with another key."""

    rights: bool
    identities: frozenset[str]


def touched(entries: Iterable[bytes]) -> Touched:
    """Return what these entries may change of who is who and who may what. It may name too much, never too little."""
    found: set[str] = set()
    for entry in entries:
        payload = payload_of(entry)
        named = RIGHTS.findall(payload)
        if named:
            found.update(name.decode("utf-8", "replace") for name in [*named, *INVITE.findall(payload)])
    return Touched(bool(found), frozenset(found))


def touches_rights(entries: Iterable[bytes]) -> bool:
    """Tell whether any of these entries may change who is who or who may what. It may say yes too often, never no."""
    return touched(entries).rights


def payload_of(entry: bytes) -> bytes:
    """Return the statement's bytes in an entry, or nothing when it holds none."""
    end = entry.find(b'"', PAYLOAD_START)
    try:
        return binascii.a2b_base64(entry[PAYLOAD_START:end]) if end > 0 else b""
    except binascii.Error:
        return b""
