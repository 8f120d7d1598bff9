"""`python -m ledger.http.probe`: does the server of this home answer? For a container's health check, which has no shell.

Asks `/healthz` at the address in `listen.json`, over TLS under the CA that the home pins. A server that answers is healthy, a
stale node too: it goes on serving reads, and to end it would help nobody.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from http import HTTPStatus
from urllib.parse import urlsplit

from ledger.core.errors import LedgerError, UnavailableError
from ledger.home.files import read_text
from ledger.home.home import LISTEN_FILE, Home
from ledger.home.settings import find_home

PATIENCE_SECONDS = 4.0


def probe(home: Home) -> None:
    """Return when the server of `home` answers that it is alive. Raises LedgerError when it does not."""
    try:
        url = urlsplit(str(json.loads(read_text(home.path / LISTEN_FILE))["url"]))
        context = ssl.create_default_context(cafile=str(home.ca_file))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection(url.hostname or "", url.port, timeout=PATIENCE_SECONDS, context=context)
        try:
            connection.request("GET", "/healthz")
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise UnavailableError(f"the server of {home.path} does not answer: {error}") from error
    if status != HTTPStatus.OK:
        raise UnavailableError(f"the server of {home.path} answers {status}")


def main() -> int:
    """Probe the server of the home that METALEDGER_HOME names; return 0 when it is alive, else 1."""
    try:
        probe(Home(find_home()))
    except LedgerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
