"""Join tokens: one line that lets one newcomer into one network (docs/formats.md, section 10).

    metaledger-join-1.<base64url of JCS {"ledger","url","ca","key","expires"}>

`key` is base64 of the 32 private bytes of the invite's key, so the line is a bearer secret: it is
read from stdin or a file where that is possible, and never shown again.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ledger.core import canonical
from ledger.core.errors import FormatError, LedgerError
from ledger.core.keys import PrivateKey
from ledger.home.files import read_secret

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

PREFIX = "metaledger-join-1."
MAX_TOKEN = 4_096  # characters; ours are under 500
_MEMBERS = frozenset({"ledger", "url", "ca", "key", "expires"})
_SHAPE = re.compile(r"[A-Za-z0-9_-]+")
_URL = re.compile(r"[!-~]{1,2048}")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a newcomer gets: the network, a way to it, whom to trust, and the invite's key."""

    ledger: str
    url: str
    ca: str | None
    key: PrivateKey = field(repr=False)
    expires: str

    def encode(self) -> str:
        """Return the line. It is a secret."""
        seed = base64.b64encode(self.key.seed).decode()
        body: canonical.JSON = {"ledger": self.ledger, "url": self.url, "ca": self.ca, "key": seed, "expires": self.expires}
        return PREFIX + base64.urlsafe_b64encode(canonical.dump(body)).rstrip(b"=").decode()

    def expired(self, now: float) -> bool:
        """Return whether the token has ended at `now`."""
        return canonical.parse_time(self.expires) <= now


def parse_join_token(text: str) -> JoinToken:
    """Return the token of a line; raises FormatError, which never repeats the line."""
    line = text.strip()
    if not line.startswith(PREFIX):
        raise FormatError(f"A join token begins with {PREFIX}", advice="Copy the whole line that `create invite` printed.")
    if len(line) > MAX_TOKEN:
        raise FormatError("That is too long for a join token.")
    try:
        body = canonical.parse(_unpack(line[len(PREFIX) :]))
    except (LedgerError, binascii.Error, ValueError):
        body = None
    if not isinstance(body, dict) or body.keys() != _MEMBERS:
        raise _damaged()
    ledger, url, ca, expires = body["ledger"], body["url"], body["ca"], body["expires"]
    if not isinstance(ledger, str) or not canonical.is_hex64(ledger) or not _is_url(url):
        raise _damaged()
    if ca is not None and not canonical.is_hex64(ca):
        raise _damaged()
    if not canonical.is_time(expires):
        raise _damaged()
    return JoinToken(ledger, str(url), None if ca is None else str(ca), _key(body["key"]), str(expires))


def _damaged() -> FormatError:
    return FormatError("The join token is damaged.", advice="Copy the whole line that `create invite` printed.")


def _unpack(text: str) -> bytes:
    """Return the bytes of unpadded base64url, if it is their own encoding."""
    if not _SHAPE.fullmatch(text):
        raise FormatError("no base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise FormatError("no base64url")
    return raw


def _is_url(value: object) -> bool:
    """Return whether `value` is a ledger URL without a password in it and not plain HTTP."""
    if not isinstance(value, str) or not _URL.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return "://" in value and parts.scheme not in ("", "http") and "@" not in parts.netloc


def _key(value: object) -> PrivateKey:
    try:
        seed = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != 32 or base64.b64encode(seed).decode() != value:  # noqa: PLR2004 - bytes of an Ed25519 seed
        raise _damaged()
    return PrivateKey(seed)


def read_join_token(argument: str, stdin: BinaryIO, warn: Callable[[str], None]) -> JoinToken:
    """Return the token of a command's argument: the line itself, `@FILE`, or `-` for stdin.

    `warn` hears of a file that others may read. Raises FormatError, NotFoundError or UsageError.
    """
    if argument == "-":
        raw = stdin.read(MAX_TOKEN + 1)
    elif argument.startswith("@"):
        raw = read_secret(Path(argument[1:]), warn)
    else:
        return parse_join_token(argument)
    try:
        return parse_join_token(raw.decode("ascii"))
    except UnicodeDecodeError:
        raise _damaged() from None
