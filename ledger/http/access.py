"""Who a request speaks for: a bearer token, or this machine's own read token where one is kept."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from auth.principal import Principal
from ledger.core.errors import AccessError, AuthenticationError, NotAllowedError

if TYPE_CHECKING:
    from auth.tokens import TokenVerifier
    from ledger.http.call import Call

BEARER = "bearer "
TOKEN_CHARACTERS = 4096
LOCAL = Principal(name="local", keyid="", scopes=frozenset({"read"}))


class BearerAuthorizer:
    """Checks `Authorization: Bearer …` at every request. `local_token` opens `read` for programs on this machine."""

    def __init__(self, verifier: TokenVerifier, *, local_token: str | None = None) -> None:
        self._verifier = verifier
        self._local_token = local_token.encode() if local_token else None  # an empty one would open to everybody

    def authorize(self, call: Call, scopes: tuple[str, ...]) -> Principal:
        """Return who asks, with any one of `scopes`. Raises `AuthenticationError` or `NotAllowedError`."""
        principal = self._identify(call)
        if any(principal.allows(scope) for scope in scopes):
            return principal
        raise NotAllowedError(f"this needs the scope {' or '.join(scopes)}", scope=" ".join(scopes))

    def still(self, call: Call) -> bool:
        """Return whether who opened the stream `call` may still read it."""
        try:
            return self._identify(call).allows("read")
        except AccessError:
            return False

    def _identify(self, call: Call) -> Principal:
        header = call.request.headers.get("Authorization")
        if header is None:
            raise AuthenticationError("this needs an access token", advice="Get one at /v1/token, or with `ledger-cli create token`.")
        if header[: len(BEARER)].lower() != BEARER or len(header) > TOKEN_CHARACTERS:
            raise AuthenticationError("the Authorization header holds no bearer token")
        token = header[len(BEARER) :].strip()
        if self._local_token is not None and hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._local_token):
            return LOCAL
        return self._verifier.verify(token)
