"""Access tokens: short-lived, EdDSA, good at one server of one network (RFC 9068 in form).

    {"alg":"EdDSA","kid":<key id of the server's token key>,"typ":"at+jwt"}
    {"iss":<server>,"sub":<member>,"aud":"<network id>/<server>","scope":"read write",
     "client_id":<key id that asked>,"iat":…,"exp":…,"jti":…}

`client_id` ties a token to the key that proved itself: a changed key, a dropped member or a used-up
invite ends it at the next request. A token opens a conversation and nothing else: the envelope
decides what is true, so a stolen token key cannot make one false policy.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from auth.jws import ALGORITHM, Jws, Reason, refuse
from auth.principal import Principal, format_scopes, parse_scopes, scopes_of
from ledger.core.errors import NotAllowedError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from auth.jws import Token
    from auth.ports import Invite, Member, MemberKeys
    from ledger.core.canonical import JSON
    from ledger.core.keys import PublicKey
    from ledger.core.ports import Clock, Signer

TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068's media type
CACHE_SIZE = 2 * LIMITS.connections


@dataclass(frozen=True, slots=True)
class Site:
    """One server of one network: what a token and an assertion are good for."""

    network: str
    server: str

    @property
    def audience(self) -> str:
        """Return the `aud` of every token and assertion for this server."""
        return f"{self.network}/{self.server}"


def jwks(keys: Iterable[PublicKey]) -> dict[str, JSON]:
    """Return the JWKS document (RFC 7517, RFC 8037) of a server's token keys."""
    return {"keys": [_jwk(key) for key in keys]}


def _jwk(key: PublicKey) -> dict[str, JSON]:
    x = base64.urlsafe_b64encode(key.raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": ALGORITHM, "kid": key.keyid, "x": x}


def identity_of_key(members: MemberKeys, keyid: str) -> Member | Invite | None:
    """Return the live member or invite of that key; a key is bound once, so there is one at most."""
    return members.member_of_key(keyid) or members.invite_of_key(keyid)


class TokenIssuer:
    """Makes the access tokens of one server. `signer` may be replaced while it is used."""

    def __init__(self, site: Site, signer: Signer, clock: Clock) -> None:
        self.signer = signer
        self._site = site
        self._clock = clock
        self._jws = Jws()

    def issue(self, principal: Principal, *, ttl: int = LIMITS.access_token_seconds) -> tuple[str, int]:
        """Return a token for `principal` with exactly its scopes, and when it expires.

        It lives `ttl` seconds, 15 minutes at most, and no longer than `principal.expires` if that
        is set: an invite's token ends with the invite.
        """
        now = int(self._clock.now())
        expires = now + max(1, min(ttl, LIMITS.access_token_seconds))
        if principal.expires:
            expires = min(expires, principal.expires)
        claims: dict[str, JSON] = {
            "iss": self._site.server,
            "sub": principal.name,
            "aud": self._site.audience,
            "scope": format_scopes(principal.scopes),
            "client_id": principal.keyid,
            "iat": now,
            "exp": expires,
            "jti": secrets.token_urlsafe(16),
        }
        return self._jws.make(claims, self.signer, typ=TOKEN_TYPE), expires


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal  # with the scopes that the token carries
    current: Principal  # with those of them that the state still grants
    revision: int


class TokenVerifier:
    """Tells who an access token speaks for, at every request anew.

    Signatures are checked once a token: verified ones are kept by their whole text. Expiry is
    checked each time; the state is asked again whenever it has changed, so revocation and a change
    of key hold from the next request on. Not for use from several threads.
    """

    def __init__(self, site: Site, keys: Iterable[PublicKey], members: MemberKeys, clock: Clock, *, capacity: int = CACHE_SIZE) -> None:
        self._site = site
        self._keys = {key.keyid: key for key in keys}
        self._members = members
        self._clock = clock
        self._capacity = capacity
        self._jws = Jws()
        self._verified: dict[str, _Verified] = {}

    def set_keys(self, keys: Iterable[PublicKey]) -> None:
        """Take other token keys from now on (rotation); tokens of keys given up are refused."""
        self._keys = {key.keyid: key for key in keys}
        self._verified.clear()

    def forget(self) -> None:
        """Drop what was verified; everything is checked anew from the next request on."""
        self._verified.clear()

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """Return the token keys in use, for the JWKS document."""
        return tuple(self._keys.values())

    def verify(self, text: str) -> Principal:
        """Return who `text` speaks for; raises AuthenticationError with the reason."""
        revision = self._members.revision()
        known = self._verified.get(text)
        if known is not None and known.revision == revision:
            self._check_expiry(known.current)
            return known.current
        principal = known.principal if known is not None else self._believe(text)
        self._check_expiry(principal)
        try:
            current = self._present(principal)
        except BaseException:
            self._verified.pop(text, None)
            raise
        self._remember(text, _Verified(principal, current, revision))
        return current

    def _check_expiry(self, principal: Principal) -> None:
        now = self._clock.now()
        if principal.expires <= now:
            refuse(Reason.EXPIRED, "The token has expired.", server_time=int(now))

    def _believe(self, text: str) -> Principal:
        """Check all of a token that does not change with the state."""
        token = self._jws.peek(text)
        key = self._keys.get(token.kid)
        if key is None:
            refuse(Reason.KEY, "The token is not signed by this server's token key.")
        self._jws.check(text, key)
        if (token.type or "").lower().removeprefix("application/") != TOKEN_TYPE:
            refuse(Reason.TYPE, "That is no access token.")
        if token.text("iss") != self._site.server:
            refuse(Reason.ISSUER, f"The token is not of {self._site.server}.")
        token.check_audience(self._site.audience)
        expires = token.check_times(self._clock.now(), LIMITS.access_token_seconds)
        token.text("jti")
        return Principal(token.text("sub"), token.text("client_id"), _scopes(token), expires=expires)

    def _present(self, principal: Principal) -> Principal:
        """Return the principal as the state has it now; refuses one that is live no more."""
        identity = identity_of_key(self._members, principal.keyid)
        if identity is None or identity.name != principal.name:
            refuse(Reason.REVOKED, f"{principal.name} is not live with the key this token was made for.")
        now = Principal(principal.name, principal.keyid, scopes_of(identity))
        return replace(principal, id=identity.id, scopes=frozenset(s for s in principal.scopes if now.allows(s)))

    def _remember(self, text: str, verified: _Verified) -> None:
        self._verified.pop(text, None)
        while len(self._verified) >= self._capacity:
            del self._verified[next(iter(self._verified))]
        self._verified[text] = verified


def _scopes(token: Token) -> frozenset[str]:
    try:
        return parse_scopes(token.text("scope"))
    except NotAllowedError:
        refuse(Reason.SCOPE, "The token carries an unknown scope.")
