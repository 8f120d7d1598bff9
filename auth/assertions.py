"""RFC 7523 assertions: how a member, or a joiner with an invite, proves its key to a server.

    {"alg":"EdDSA","kid":<key id of the member or invite>,"typ":"JWT"}
    {"iss":<name>,"sub":<name>,"aud":"<network id>/<server>","iat":…,"exp":≤ iat + 60,"jti":…}

<name> is that of the member or invite, or the key id again: a joiner knows its invite's key before its name.

An assertion is used once. A client whose clock is off finds `server_time` in the refusal.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from auth.jws import Jws, Reason, refuse
from auth.ports import Invite
from auth.principal import Principal, narrow, scopes_of
from auth.rates import INVITE_A_MINUTE, MEMBER_A_MINUTE, Rates
from auth.tokens import TOKEN_TYPE, identity_of_key
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
        self._rates = Rates(clock)
        self._jws = Jws()

    def verify(self, text: str, asked: frozenset[str] | None = None) -> Principal:
        """Return the principal with the scopes `asked` for, or all it may have.

        `expires` of the principal is 0 for a member, else when the invite ends. Raises
        AuthenticationError with the reason, NotAllowedError for a scope beyond the identity's,
        BusyError when the key asks too often, or too many assertions are remembered.
        """
        token = self._jws.peek(text)
        identity = identity_of_key(self._members, token.kid)
        if identity is None:
            refuse(Reason.KEY, "No live member or invite has the key that this assertion names.")
        self._jws.check(text, identity.key)
        self._rates.take(identity.key.keyid, INVITE_A_MINUTE if isinstance(identity, Invite) else MEMBER_A_MINUTE)
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
