"""What `auth` asks of those who know the state of the network: who is live, and what was used.

Times are whole seconds since 1970 (UTC). Implementations answer from memory or from the replica
and never block for long: they are asked once a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ledger.core.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Member:
    """A live member with its present key.

    `rights` are the names of the live permissions policies that it holds now, by its own body or
    by a live assignment.
    """

    id: str
    name: str
    type: str
    key: PublicKey
    rights: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Invite:
    """A live invite: whoever holds its key may join under its name until `expires`."""

    id: str
    name: str
    type: str
    key: PublicKey
    expires: int


class MemberKeys(Protocol):
    """The present state of identities. Only live members and live invites are ever answered."""

    def revision(self) -> int:
        """Return a number that differs whenever any other answer may differ.

        The size of the log will do; the index of the last entry of an authority kind costs fewer
        look-ups.
        """
        ...

    def member_of_key(self, keyid: str) -> Member | None:
        """Return the live member whose present key is `keyid`."""
        ...

    def member_named(self, name: str) -> Member | None:
        """Return the live member of that name."""
        ...

    def invite_of_key(self, keyid: str) -> Invite | None:
        """Return the live invite with that key, expired or not."""
        ...


class UsedOnce(Protocol):
    """Remembers what may be used once. One instance may serve a process or, with a store, many."""

    def take(self, owner: str, token_id: str, until: int) -> bool:
        """Return True the first time `owner` brings `token_id`, and remember it until `until`.

        Raises BusyError rather than forget what is not over yet.
        """
        ...
