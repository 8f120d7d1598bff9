"""Who is at the other end of a connection, known before a byte of a request goes over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.core.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping


class OtherServerError(Exception):
    """The connection leads to another server than the one before: nothing was sent over it."""

    def __init__(self, peer: str | None) -> None:
        super().__init__(peer)
        self.peer = peer


OUT_OF_TIME = frozenset({9, 10})  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED
CLOCK_ADVICE = "Check this machine's clock first; if it is right, the server's operator renews the certificate."
OTHER_ADVICE = "Check the URL; if the network's CA changed long ago, join again."


class AwayError(Exception):
    """The server is not there: nothing was sent. `error` is what to tell people."""

    def __init__(self, error: UnreachableError) -> None:
        super().__init__(error.message)
        self.error = error


class DistrustedError(AwayError):
    """The server's certificate is not trusted."""

    def __init__(self, base: str, error: Exception) -> None:
        message = f"{base} shows a certificate that this home does not trust: {error}"
        clock = getattr(error, "verify_code", None) in OUT_OF_TIME
        super().__init__(UnreachableError(message, advice=CLOCK_ADVICE if clock else OTHER_ADVICE))


def common_name(certificate: Mapping[str, Any]) -> str | None:
    """Return the common name in what `getpeercert()` gave, or None."""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if len(names) == 1 else None
