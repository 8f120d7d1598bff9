"""Ledger URLs: which ledger, and what keeps it (docs/concepts.md, Ledger URL).

Parsing is strict and the same for every backend; what a scheme's own parts mean is for its plug-in, which
asks here for the part in the form it needs. A URL never holds a secret: user names and passwords are refused.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from ledger.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

URL_LIMIT = 2048
SCHEME = re.compile(r"[a-z][a-z0-9]*(\+[a-z][a-z0-9]*)?", re.ASCII)
_LEGACY_NUMBER = re.compile(r"(.*\.)?(\d+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)  # what inet_aton reads: 2130706433, 0x7f.1
EXAMPLES = (
    "https://HOST:PORT, sqlite:///PATH/ledger.db, ethereum+http://HOST:PORT/0xCONTRACT,"
    " or hyperledger:///PATH/connection.yaml?channel=C&chaincode=N"
)
NO_CHAINS = ("https", "http", "sqlite")


@dataclass(frozen=True, slots=True)
class LedgerUrl:
    """A parsed ledger URL. `text` is what was given."""

    text: str
    scheme: str
    host: str | None
    port: int | None
    path: str
    query: Mapping[str, str]

    @property
    def family(self) -> str:
        """Return what names the plug-in: the scheme up to its plus sign."""
        return self.scheme.partition("+")[0]

    @property
    def transport(self) -> str:
        """Return what stands behind the plus sign of the scheme; empty when there is none."""
        return self.scheme.partition("+")[2]

    @property
    def on_chain(self) -> bool:
        """Tell whether the ledger is one on a chain: no server of ours, and no file."""
        return self.family not in NO_CHAINS

    def endpoint(self, default_port: int) -> tuple[str, int]:
        """Return host and port. Raises `UsageError` when there is no host."""
        if self.host is None:
            raise UsageError(f"the ledger URL {self.text} names no host")
        return self.host, default_port if self.port is None else self.port

    def file(self) -> Path:
        """Return the file of a URL without host. Raises `UsageError` unless its path is absolute and names a file."""
        if self.host is not None or not self.path.startswith("/") or self.path.endswith("/"):
            advice = f"Write three slashes and an absolute path: {self.scheme}:///PATH."
            raise UsageError(f"the ledger URL {self.text} names no file by its absolute path", advice=advice)
        return Path(self.path)

    def require_bare(self) -> None:
        """Raise `UsageError` when there is more than scheme, host and port."""
        if self.path not in ("", "/") or self.query:
            raise UsageError(f"the ledger URL {self.text} must end after the port", advice=f"Ledger URLs: {EXAMPLES}.")

    def require_query(self, *names: str) -> tuple[str, ...]:
        """Return the values of exactly the query parameters `names`. Raises `UsageError` when one lacks or there are others."""
        if set(self.query) != set(names):
            wanted = ", ".join(names) or "none"
            raise UsageError(f"the ledger URL {self.text} must have these parameters: {wanted}")
        return tuple(self.query[name] for name in names)


def parse_ledger_url(text: str) -> LedgerUrl:
    """Parse a ledger URL. Raises `UsageError` for anything that is none."""
    if not 0 < len(text) <= URL_LIMIT or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("a ledger URL is printable ASCII without spaces", advice=f"Ledger URLs: {EXAMPLES}.")
    scheme, colon, _ = text.partition("://")
    if not colon or not SCHEME.fullmatch(scheme):
        raise UsageError(f"{_shown(text)} is no ledger URL", advice=f"Ledger URLs: {EXAMPLES}.")
    try:
        split = urlsplit(text)
        port, host = split.port, split.hostname
    except ValueError as error:
        raise UsageError(f"{_shown(text)} is no ledger URL: {error}") from error
    if "@" in split.netloc:
        raise UsageError("a ledger URL holds no user name and no password", advice="Secrets go to files: see METALEDGER_<NAME>_FILE.")
    if port == 0 or "#" in text or (split.netloc and not host):
        raise UsageError(f"{_shown(text)} is no ledger URL", advice=f"Ledger URLs: {EXAMPLES}.")
    path = _unquoted(split.path, text)
    return LedgerUrl(text, scheme, host or None, port, path, _query(split, text))


def other_place_problem(text: str, present: str) -> str | None:
    """Return why a policy may not send a home from the URL `present` to the URL `text`, None when it may.

    Only a bare https:// URL is followed; and to addresses of the own machine only by who is there already, so that a policy makes
    nobody knock at what listens there for this machine alone.
    """
    try:
        url = parse_ledger_url(text)
        url.require_bare()
    except UsageError as error:
        return error.message
    if url.scheme != "https" or url.host is None:
        return "only https://HOST:PORT is followed"
    address = _address(url.host)
    if address is None and _LEGACY_NUMBER.fullmatch(url.host):
        return f"{url.host} is another spelling of an address"
    if address is not None and (address.is_unspecified or address.is_multicast or address.is_link_local):
        return f"{url.host} is no address of a server"
    if is_local(url.host) and not is_local(parse_ledger_url(present).host or ""):
        return f"{url.host} is this machine itself"
    return None


def is_local(host: str) -> bool:
    """Tell whether a host is the loopback interface of the machine itself."""
    address = _address(host)
    return host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        address = ip_address(host)
        return getattr(address, "ipv4_mapped", None) or address
    return None


def _query(split: SplitResult, text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query), max_num_fields=16, errors="strict")
    except ValueError as error:
        raise UsageError(f"the parameters of the ledger URL {_shown(text)} are malformed") from error
    if len(dict(pairs)) != len(pairs):
        raise UsageError(f"a parameter of the ledger URL {_shown(text)} stands twice")
    return dict(pairs)


def _unquoted(path: str, text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise UsageError(f"a % sign in the path of {_shown(text)} starts no escape", advice="Write %25 for a percent sign.")
    try:
        plain = unquote(path, errors="strict")
    except UnicodeDecodeError as error:
        raise UsageError(f"the path of {_shown(text)} is not UTF-8") from error
    if "\0" in plain:
        raise UsageError(f"the path of {_shown(text)} holds a zero byte")
    return plain


def _shown(text: str) -> str:
    """Return the URL without what may be a password."""
    return re.sub(r"//[^/]*@", "//…@", text)
