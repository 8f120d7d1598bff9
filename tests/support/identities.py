"""A small network for the tests of `auth`: a clock that stands still, members, invites, one server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from auth.ports import Invite, Member
from auth.tokens import Site
from ledger.core.keys import PrivateKey

NOW = 1_795_000_000
SITE = Site("ab" * 32, "master")


def key_of(name: str) -> PrivateKey:
    """Return a key that depends on `name` only."""
    return PrivateKey(hashlib.sha256(name.encode()).digest())


@dataclass
class FrozenClock:
    """A clock that a test moves."""

    seconds: float = NOW

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@dataclass
class Members:
    """A MemberKeys that a test changes; `asked` counts the look-ups."""

    members: dict[str, Member] = field(default_factory=dict)
    invites: dict[str, Invite] = field(default_factory=dict)
    version: int = 1
    asked: int = 0

    def add(self, name: str, *rights: str, kind: str = "user", key: PrivateKey | None = None) -> Member:
        self.version += 1
        member = Member(f"id-{name}", name, kind, (key or key_of(name)).public, frozenset(rights))
        self.members[name] = member
        return member

    def invite(self, name: str, expires: int = NOW + 3_600) -> Invite:
        self.version += 1
        invite = Invite(f"invite-{name}", name, "node", key_of(f"invite-{name}").public, expires)
        self.invites[name] = invite
        return invite

    def rekey(self, name: str, key: PrivateKey) -> None:
        self.version += 1
        self.members[name] = replace(self.members[name], key=key.public)

    def drop(self, name: str) -> None:
        self.version += 1
        self.members.pop(name, None)
        self.invites.pop(name, None)

    def revision(self) -> int:
        return self.version

    def member_of_key(self, keyid: str) -> Member | None:
        self.asked += 1
        return next((m for m in self.members.values() if m.key.keyid == keyid), None)

    def member_named(self, name: str) -> Member | None:
        self.asked += 1
        return self.members.get(name)

    def invite_of_key(self, keyid: str) -> Invite | None:
        self.asked += 1
        return next((i for i in self.invites.values() if i.key.keyid == keyid), None)
