"""Who a home is on a channel: a certificate of an organisation, and its key.

In a home it is a file of Fabric's wallets (`NAME.id`, JSON). It is taken from such a file, from a wallet (a directory of them)
that holds one, from an MSP directory (`signcerts`, `keystore`), or from a directory with `cert.pem` and `key.pem`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from ledger.core.errors import FormatError, NotFoundError, UsageError
from ledger.home.files import create_file, read_private_file, read_text

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE: Final = "fabric.id"
TYPE: Final = "X.509"
_ADVICE: Final = "Give a wallet or a file of one (NAME.id), an MSP directory, or a directory with cert.pem and key.pem."


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its key, as PEM texts, and the MSP id of their organisation where the source names it."""

    certificate: str
    key: str = field(repr=False)
    msp: str | None = None

    def to_wallet(self) -> bytes:
        """Return the content of a wallet file."""
        credentials = {"certificate": self.certificate, "privateKey": self.key}
        return orjson.dumps({"credentials": credentials, "mspId": self.msp, "type": TYPE, "version": 1})


def read_identity(path: Path) -> Identity:
    """Return the identity at `path` (blocking).

    Raises NotFoundError when there is none, FormatError for something else, UsageError for a key that others may read and for a
    wallet with several.
    """
    if path.is_dir():
        kept = sorted(path.glob("*.id"))
        if len(kept) > 1:
            raise UsageError(f"{path} holds {len(kept)} identities", advice=f"Name one of them: {', '.join(one.name for one in kept)}.")
        return read_identity(kept[0]) if kept else _of_directory(path)
    try:
        found = orjson.loads(read_private_file(path))
        credentials = found["credentials"]
        certificate, key, msp = credentials["certificate"], credentials["privateKey"], found.get("mspId")
    except NotFoundError as error:
        advice = "Put your wallet file there: ledger-cli create account --identity FILE."
        raise NotFoundError(f"there is no identity at {path}", advice=advice) from error
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is no wallet file of Fabric", advice=_ADVICE) from error
    if found.get("type") != TYPE or not isinstance(certificate, str) or not isinstance(key, str) or not isinstance(msp, str | None):
        raise FormatError(f"{path} is no wallet file of Fabric with an {TYPE} identity", advice=_ADVICE)
    return Identity(certificate, key, msp)


def adopt_identity(source: Path, target: Path) -> Identity:
    """Put the identity at `source` into a new wallet file at `target` (blocking). ConflictError when there is one."""
    identity = read_identity(source)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_file(target, identity.to_wallet())
    return identity


def _of_directory(path: Path) -> Identity:
    for certificates, keys in ((path / "signcerts", path / "keystore"), (path, path)):
        certificate = _only(certificates, "cert.pem" if certificates == path else "*")
        key = _only(keys, "key.pem" if keys == path else "*")
        if certificate is not None and key is not None:
            return Identity(read_text(certificate), read_private_file(key).decode("ascii", errors="replace"))
    raise NotFoundError(f"{path} holds no identity", advice=_ADVICE)


def _only(folder: Path, pattern: str) -> Path | None:
    """Return the one file there; None when there is none, or one among several."""
    found = [one for one in folder.glob(pattern) if one.is_file()]
    return found[0] if len(found) == 1 else None


__all__ = ["KEY_FILE", "Identity", "adopt_identity", "read_identity"]
