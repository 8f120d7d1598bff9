"""RFC 7523 assertions: how a member, or a joiner with an invite, proves its key to a server.

    {"alg":"EdDSA","kid":<key id of the member or invite>,"typ":"JWT"}
    {"iss":<name>,"sub":<name>,"aud":"<network id>/<server>","iat":…,"exp":≤ iat + 60,"jti":…}

<name> is that of the member or invite, or the key id again: a joiner knows its invite's key before its name.

An assertion is used once. A client whose clock is off finds `server_time` in the refusal.
"""

from __future__ import annotations

import heapq
import secrets
from collections import Counter
from typing import TYPE_CHECKING

from auth.jws import Jws, Reason, refuse
from auth.ports import Invite
from auth.principal import Principal, narrow, scopes_of
from auth.tokens import TOKEN_TYPE, identity_of_key
from ledger.core.errors import BusyError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from auth.ports import MemberKeys, UsedOnce
    from auth.tokens import Site
    from ledger.core.ports import Clock, Signer

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def make_assertion(name: str, signer: Signer, site: Site, now: float, *, ttl: int = LIMITS.assertion_seconds) -> str:
    """Return an assertion by the member or invite `name`; `now` is the best guess of the server's time."""
    issued = int(now)
    return Jws().make(
        {
            "iss": name,
            "sub": name,
            "aud": site.audience,
            "iat": issued,
            "exp": issued + min(ttl, LIMITS.assertion_seconds),
            "jti": secrets.token_urlsafe(16),
        },
        signer,
        typ="JWT",
    )


class AssertionVerifier:
    """Tells whose key stands behind an assertion, once an assertion."""

    def __init__(self, site: Site, members: MemberKeys, used: UsedOnce, clock: Clock) -> None:
        self._site = site
        self._members = members
        self._used = used
        self._clock = clock
        self._jws = Jws()

    def verify(self, text: str, asked: frozenset[str] | None = None) -> Principal:
        """Return the principal with the scopes `asked` for, or all it may have.

        `expires` of the principal is 0 for a member, else when the invite ends. Raises
        AuthenticationError with the reason, NotAllowedError for a scope beyond the identity's,
        BusyError when too many assertions are remembered.
        """
        token = self._jws.peek(text)
        identity = identity_of_key(self._members, token.kid)
        if identity is None:
            refuse(Reason.KEY, "No live member or invite has the key that this assertion names.")
        self._jws.check(text, identity.key)
        if (token.type or "").lower().removeprefix("application/") == TOKEN_TYPE:
            refuse(Reason.TYPE, "That is an access token, not an assertion.")
        if token.text("iss") not in (identity.name, identity.key.keyid):
            refuse(Reason.ISSUER, "The assertion is not issued in the name of its key.")
        if token.text("sub") not in (identity.name, identity.key.keyid):
            refuse(Reason.SUBJECT, "The assertion is not about the owner of its key.")
        token.check_audience(self._site.audience)
        now = self._clock.now()
        expires = token.check_times(now, LIMITS.assertion_seconds)
        ends = identity.expires if isinstance(identity, Invite) else 0
        if isinstance(identity, Invite) and ends <= now:
            refuse(Reason.EXPIRED, "The invite has expired.", server_time=int(now))
        scopes = narrow(scopes_of(identity), asked)
        if not self._used.take(identity.key.keyid, token.text("jti"), expires):
            refuse(Reason.REPLAYED, "This assertion was used before.")
        return Principal(identity.name, identity.key.keyid, scopes, id=identity.id, expires=ends)


class MemoryUsedOnce:
    """UsedOnce in memory, bounded in all and for each owner, so that one cannot shut out the rest.

    It forgets at a restart: what an assertion then can do again is get one more access token of
    its own author within the minute that it lives. A shared store closes that too.
    """

    def __init__(self, clock: Clock, *, capacity: int = 65_536, per_owner: int = 1_024) -> None:
        self._clock = clock
        self._capacity = capacity
        self._per_owner = per_owner
        self._taken: set[tuple[str, str]] = set()
        self._ends: list[tuple[int, str, str]] = []
        self._owned: Counter[str] = Counter()

    def take(self, owner: str, token_id: str, until: int) -> bool:
        """Return True the first time; raises BusyError rather than forget what is not over yet."""
        self._forget()
        if (owner, token_id) in self._taken:
            return False
        if len(self._taken) >= self._capacity or self._owned[owner] >= self._per_owner:
            raise BusyError("Too many assertions at once.", retry_after=float(LIMITS.assertion_seconds))
        self._taken.add((owner, token_id))
        self._owned[owner] += 1
        heapq.heappush(self._ends, (until, owner, token_id))
        return True

    def _forget(self) -> None:
        now = self._clock.now()
        while self._ends and self._ends[0][0] <= now:
            _, owner, token_id = heapq.heappop(self._ends)
            self._taken.discard((owner, token_id))
            self._owned[owner] -= 1
            if not self._owned[owner]:
                del self._owned[owner]
