"""Tokens: a signed assertion in, an access token for this server out (RFC 7523), and the keys that sign them (JWKS)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from auth.assertions import GRANT_TYPE
from auth.principal import format_scopes, parse_scopes
from auth.tokens import jwks
from ledger.core.errors import UsageError
from ledger.core.limits import KIB, LIMITS
from ledger.http.call import Call, json_response, parse_number
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from auth.assertions import AssertionVerifier
    from auth.tokens import TokenIssuer, TokenVerifier
    from ledger.core.ports import Clock

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES = 8 * KIB
FORM_FIELDS = 8


class TokenRoutes:
    """Serves tokens of one site."""

    def __init__(self, assertions: AssertionVerifier, issuer: TokenIssuer, verifier: TokenVerifier, clock: Clock) -> None:
        self._assertions = assertions
        self._issuer = issuer
        self._verifier = verifier
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route("POST", "/v1/token", self.token, "An access token for an assertion (RFC 7523).", takes=(FORM_TYPE,)),
            Route("GET", "/.well-known/jwks.json", self.keys, "The keys that sign this server's access tokens."),
        )

    async def token(self, call: Call) -> web.Response:
        """Answer an access token."""
        fields = parse_form(await call.body(FORM_TYPE, cap=FORM_BYTES))
        if fields.get("grant_type") != GRANT_TYPE:
            raise UsageError(f"grant_type must be {GRANT_TYPE}")
        asked = parse_scopes(fields["scope"]) if fields.get("scope") else None
        principal = self._assertions.verify(fields.get("assertion", ""), asked)
        token, expires = self._issuer.issue(principal, ttl=asked_seconds(fields))
        answer = {
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": max(1, int(expires - self._clock.now())),
            "scope": format_scopes(principal.scopes),
        }
        return json_response(answer, headers={"Pragma": "no-cache"})

    async def keys(self, call: Call) -> web.Response:
        """Answer the token keys."""
        call.only()
        return json_response(jwks(self._verifier.keys), cache="no-cache")


def asked_seconds(fields: Mapping[str, str]) -> int:
    """Return for how long a token is wanted: `expires_in`, else the limit. Raises `UsageError` for more than that."""
    text = fields.get("expires_in")
    if text is None:
        return LIMITS.access_token_seconds
    seconds = parse_number("expires_in", text)
    if not 0 < seconds <= LIMITS.access_token_seconds:
        raise UsageError(f"expires_in must be 1 to {LIMITS.access_token_seconds} seconds")
    return seconds


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form, each once. Raises `UsageError` otherwise."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=FORM_FIELDS)
    except ValueError as error:
        raise UsageError("the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise UsageError("a form field stands twice")
    return fields
