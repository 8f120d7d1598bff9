"""The file that a `hyperledger:` URL names: a common connection profile, as Fabric's own tools write it, in YAML or JSON.

Taken from it are the peers (`url`, `tlsCACerts`, `grpcOptions`) and the MSP id of `client.organization`; what else stands there is for
others. The peers of that organisation come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from ledger.core.errors import FormatError
from ledger.home.files import read_text

if TYPE_CHECKING:
    from pathlib import Path

_SCHEME: Final = "grpcs"
_NAMES: Final = ("ssl-target-name-override", "hostnameOverride")
_EXAMPLE: Final = "See docs/hyperledger.md, Connection profile."


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A peer: HOST:PORT, the TLS CA certificates of its organisation (PEM), and the name in its certificate when that is not its host."""

    name: str
    address: str
    tls_ca: str
    authority: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """The peers of a channel, preferred ones first, and the MSP id of one's own organisation when the file says it."""

    peers: tuple[PeerAddress, ...]
    msp: str | None


def read_connection(path: Path) -> Connection:
    """Return what the profile at `path` says (blocking). NotFoundError without it, FormatError for what is none."""
    try:
        found = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise FormatError(f"{path} is no YAML", advice=_EXAMPLE) from error
    profile = _table(found, str(path))
    peers = {name: _peer(str(name), _table(one, f"{path}: peer {name}"), path) for name, one in _part(profile, "peers", path).items()}
    if not peers:
        raise FormatError(f"{path} names no peer", advice=_EXAMPLE)
    own = _part(profile, "client", path).get("organization")
    organisation = _part(_part(profile, "organizations", path), str(own), path) if own else {}
    listed = organisation.get("peers") or ()
    order = [name for name in listed if name in peers] if isinstance(listed, list) else []
    msp = organisation.get("mspid")
    ordered = dict.fromkeys((*order, *peers))
    return Connection(tuple(peers[name] for name in ordered), msp if isinstance(msp, str) else None)


def _peer(name: str, found: dict[str, Any], path: Path) -> PeerAddress:
    address = _address(str(found.get("url")))
    options = _part(found, "grpcOptions", path)
    authority = next((options[one] for one in _NAMES if options.get(one)), None)
    if address is None or not isinstance(authority, str | None):
        raise FormatError(f"{path}: peer {name} has no url grpcs://HOST:PORT, or a name that is none", advice=_EXAMPLE)
    return PeerAddress(name, address, _authority(name, _part(found, "tlsCACerts", path), path), authority)


def _address(text: str) -> str | None:
    """Return HOST:PORT of a URL, None for another one."""
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if url.scheme != _SCHEME or not host or port is None:
        return None
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _authority(name: str, found: dict[str, Any], path: Path) -> str:
    pem, place = found.get("pem"), found.get("path")
    if isinstance(pem, list):
        pem = "\n".join(map(str, pem))
    if isinstance(pem, str):
        return pem
    if not isinstance(place, str):
        raise FormatError(f"{path}: peer {name} has no tlsCACerts with pem or path", advice=_EXAMPLE)
    return read_text(path.parent / place)


def _part(found: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    return _table(found.get(name) or {}, f"{path}: {name}")


def _table(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise FormatError(f"{what} is no mapping", advice=_EXAMPLE)
    return found


__all__ = ["Connection", "PeerAddress", "read_connection"]
