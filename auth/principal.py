"""Who a request speaks for, and what it may ask of a server.

Scopes decide who may *talk* to a server; what a statement may *do* is decided by the fold alone.

read     the log, the state, the feed
write    hand in statements; the fold judges each, so every live member has it
join     a live invite: read, and publish the one member statement that uses the invite up
operate  the server's own condition (`/v1/status` and the like)

Every live member gets read and write. `operate` goes to members that hold, directly or by
assignment, a live permissions policy named `admin`, `service` (`create network` publishes both) or
`operate` (for more: `{"name":"operate","allow":[],"grant":[]}` opens this scope and nothing else).
The member's `type` is not asked: it is a label that whoever invites may choose, while permissions
are written by the root alone and handed on only under `grant`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from auth.ports import Invite
from ledger.core.errors import NotAllowedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auth.ports import Member

READ = "read"
WRITE = "write"
JOIN = "join"
OPERATE = "operate"
SCOPES = frozenset({READ, WRITE, JOIN, OPERATE})
OPERATE_PERMISSIONS = frozenset({"admin", "service", "operate"})  # names of permissions policies that open it


@dataclass(frozen=True, slots=True)
class Principal:
    """A proven identity: a member or an invite, its key, and what this proof is good for.

    `expires` is when the proof ends (a stream ends with it); `id` is the id of the member or
    invite policy.
    """

    name: str
    keyid: str
    scopes: frozenset[str]
    id: str = ""
    expires: int = 0

    def allows(self, scope: str) -> bool:
        """Return whether `scope` is open to this principal; `join` includes `read`."""
        return scope in self.scopes or (scope == READ and JOIN in self.scopes)

    def require(self, scope: str) -> None:
        """Raise NotAllowedError unless `scope` is open to this principal."""
        if not self.allows(scope):
            raise NotAllowedError(f"This needs the scope {scope}; {self.name} has {format_scopes(self.scopes) or 'none'}.", scope=scope)


def scopes_of(identity: Member | Invite) -> frozenset[str]:
    """Return every scope that a live member or invite may have now."""
    if isinstance(identity, Invite):
        return frozenset({JOIN})
    return frozenset({READ, WRITE, OPERATE} if OPERATE_PERMISSIONS & identity.rights else {READ, WRITE})


def parse_scopes(text: str) -> frozenset[str]:
    """Return the scopes of a space-separated list; raises NotAllowedError for an unknown one."""
    asked = frozenset(text.split(" ")) - {""}
    unknown = sorted(asked - SCOPES)
    if unknown:
        raise NotAllowedError(f"There is no scope {unknown[0][:40]!r}.", advice=f"Known scopes: {format_scopes(SCOPES)}.")
    return asked


def format_scopes(scopes: Iterable[str]) -> str:
    """Return scopes as a token carries them: sorted, separated by spaces."""
    return " ".join(sorted(scopes))


def narrow(allowed: frozenset[str], asked: frozenset[str] | None) -> frozenset[str]:
    """Return `asked`, or all of `allowed` if nothing is asked; raises NotAllowedError beyond it."""
    if not asked:
        return allowed
    beyond = sorted(asked - allowed)
    if beyond and not (beyond == [READ] and JOIN in allowed):
        raise NotAllowedError(f"The scope {beyond[0]} is not open to this identity.", scope=beyond[0])
    return asked
