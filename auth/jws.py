"""JSON Web Tokens with one algorithm only: Ed25519 by the acceptance rule of the ledger itself.

PyJWT does the framing; its table of algorithms is emptied and holds `EdDSA` alone, so that no
header can talk a verifier into another one. Keys come from the caller, never from the token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn

import jwt
from jwt.algorithms import Algorithm

from ledger.core import canonical
from ledger.core.errors import AuthenticationError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.keys import PublicKey
    from ledger.core.ports import Signer

ALGORITHM = "EdDSA"
MAX_TOKEN = 4_096  # characters; ours are under 700
FUTURE_SECONDS = 5  # two clocks in step still differ by a little
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Reason(StrEnum):
    """Why a token is refused; the `reason` in the context of AuthenticationError."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KEY = "unknown-key"
    SIGNATURE = "bad-signature"
    TYPE = "wrong-type"
    ISSUER = "wrong-issuer"
    SUBJECT = "wrong-subject"
    AUDIENCE = "wrong-audience"
    LIFETIME = "lives-too-long"
    EARLY = "not-yet-valid"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    REVOKED = "revoked"
    SCOPE = "bad-scope"


def refuse(reason: Reason, message: str, **context: object) -> NoReturn:
    """Raise AuthenticationError with a stable reason. Nothing of the token stands in it."""
    raise AuthenticationError(message, advice=None, reason=reason.value, **context)


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says, before anybody believes it."""

    kid: str
    type: str | None
    claims: Mapping[str, object]

    def text(self, name: str) -> str:
        """Return the claim `name`, a string of 1 to 512 characters; refuses anything else."""
        value = self.claims.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= 512:  # noqa: PLR2004 - stands in the docstring
            refuse(Reason.MALFORMED, f"The claim {name} is missing or no text.")
        return value

    def seconds(self, name: str) -> int:
        """Return the claim `name`, whole seconds since 1970; refuses anything else."""
        value = self.claims.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            refuse(Reason.MALFORMED, f"The claim {name} is missing or no time in whole seconds.")
        return value

    def check_times(self, now: float, longest: int) -> int:
        """Return `exp` if the token is valid at `now` and lives at most `longest` seconds."""
        issued, expires = self.seconds("iat"), self.seconds("exp")
        starts = max(issued, self.seconds("nbf")) if "nbf" in self.claims else issued
        if expires - issued > longest:
            refuse(Reason.LIFETIME, f"The token lives {expires - issued} s; at most {longest} s are taken.")
        if starts > now + FUTURE_SECONDS:
            refuse(Reason.EARLY, "The token is not valid yet; compare the two clocks.", server_time=int(now))
        if expires <= now:
            refuse(Reason.EXPIRED, "The token has expired; if it is new, compare the two clocks.", server_time=int(now))
        return expires

    def check_audience(self, audience: str) -> None:
        """Refuse a token that is not for `audience` alone."""
        value = self.claims.get("aud")
        if value not in (audience, [audience]):
            refuse(Reason.AUDIENCE, f"The token is not for {audience}.")


class _LedgerEd25519(Algorithm):
    """Ed25519 through `ledger.core.keys`, so that one rule holds for tokens and statements."""

    def prepare_key(self, key: Any) -> Any:
        return key

    def sign(self, msg: bytes, key: Any) -> bytes:
        signer: Signer = key
        return signer.sign(msg)

    def verify(self, msg: bytes, key: Any, sig: bytes) -> bool:
        public: PublicKey = key
        return public.verify(sig, msg)

    @staticmethod
    def to_jwk(key_obj: Any, as_dict: bool = False) -> Any:  # noqa: ARG004 - the signature is PyJWT's
        raise jwt.InvalidKeyError("Keys are published by auth.tokens.jwks.")

    @staticmethod
    def from_jwk(jwk: Any) -> Any:  # noqa: ARG004 - the signature is PyJWT's
        raise jwt.InvalidKeyError("Keys never come from a token.")


class Jws:
    """Makes and takes apart compact tokens."""

    def __init__(self) -> None:
        self._jws = jwt.PyJWS(algorithms=[])
        self._jws.register_algorithm(ALGORITHM, _LedgerEd25519())

    def make(self, claims: Mapping[str, canonical.JSON], signer: Signer, *, typ: str) -> str:
        """Return a signed token; `kid` is the key id of the signer."""
        headers = {"kid": signer.public.keyid, "typ": typ}
        return self._jws.encode(canonical.dump(dict(claims)), signer, algorithm=ALGORITHM, headers=headers)  # type: ignore[arg-type]  # our algorithm takes our keys

    def peek(self, text: str) -> Token:
        """Return what a token says without believing it; raises AuthenticationError if it is none."""
        if len(text) > MAX_TOKEN or not _SHAPE.fullmatch(text):
            refuse(Reason.MALFORMED, "That is no token.")
        try:
            decoded = self._jws.decode_complete(text, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            refuse(Reason.MALFORMED, "That is no token.")
        header = decoded["header"]
        if header.get("alg") != ALGORITHM:
            refuse(Reason.ALGORITHM, f"Only {ALGORITHM} is taken.")
        kid, typ = header.get("kid"), header.get("typ")
        if not canonical.is_hex64(kid) or not isinstance(typ, str | None):
            refuse(Reason.KEY, "The token does not name its key.")
        return Token(kid, typ, _claims(decoded["payload"]))

    def check(self, text: str, key: PublicKey) -> None:
        """Raise AuthenticationError unless `key` signed the token."""
        try:
            self._jws.decode_complete(text, key, algorithms=[ALGORITHM])  # type: ignore[arg-type]  # our algorithm takes our keys
        except jwt.InvalidTokenError:
            refuse(Reason.SIGNATURE, "The signature of the token is wrong.")


def _claims(payload: bytes) -> Mapping[str, object]:
    try:
        claims = canonical.load(payload)
    except FormatError:
        refuse(Reason.MALFORMED, "The token's claims are no JSON object.")
    if not isinstance(claims, dict):
        refuse(Reason.MALFORMED, "The token's claims are no JSON object.")
    return claims
