"""The home directory of one identity: what lies where, and its config.toml.

A master's, a node's and an operator's home are three homes. Everything in it is private to its owner.
Paths are named here and nowhere else.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import NotFoundError, UnavailableError, UsageError
from ledger.home.files import read_text, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LISTEN_FILE = "listen.json"  # where the service of this home listens, while it runs
CONFIG_HEAD = "# Settings of this metaledger home; flags and METALEDGER_* variables come before them.\n"


@dataclass(frozen=True, slots=True)
class Home:
    """A home directory, there or not yet."""

    path: Path

    @property
    def config(self) -> Path:
        """Return the file of settings."""
        return self.path / "config.toml"

    @property
    def keys(self) -> Path:
        """Return the directory of private keys, each a file of mode 0600."""
        return self.path / "keys"

    @property
    def tls(self) -> Path:
        """Return the directory of `ca.pem`, `cert.pem` and `key.pem`."""
        return self.path / "tls"

    @property
    def ca_file(self) -> Path:
        """Return the certificate of the CA that this home pins."""
        return self.tls / "ca.pem"

    @property
    def certificate_file(self) -> Path:
        """Return the certificate chain of this identity."""
        return self.tls / "cert.pem"

    @property
    def certificate_key_file(self) -> Path:
        """Return the private key of the certificate."""
        return self.tls / "key.pem"

    @property
    def database(self) -> Path:
        """Return the log and its state."""
        return self.path / "ledger.db"

    @property
    def journal(self) -> Path:
        """Return the database of operations."""
        return self.path / "journal.db"

    @property
    def head_file(self) -> Path:
        """Return the file of the last size and root that were signed or verified."""
        return self.path / "head.json"

    @property
    def moved_file(self) -> Path:
        """Return the file that says where the master is now, after a move that was followed."""
        return self.path / "moved.json"

    @property
    def lock(self) -> Path:
        """Return the lock file of the one writer process."""
        return self.path / "lock"

    @property
    def api_token(self) -> Path:
        """Return the file of the read token for programs on this machine."""
        return self.path / "api-token"

    @property
    def used_file(self) -> Path:
        """Return the file in which a server remembers the assertions that were used."""
        return self.path / "used-assertions"

    @property
    def evidence(self) -> Path:
        """Return the directory where proof of misbehaviour is kept."""
        return self.path / "evidence"

    @property
    def exists(self) -> bool:
        """Return whether an identity lives here."""
        return self.config.exists()

    def key_file(self, name: str) -> Path:
        """Return the file of the private key `name`."""
        return self.keys / f"{name}.pem"

    def create(self) -> None:
        """Make the directories, private to their owner. Raises `UsageError` when an identity lives here already."""
        if self.exists:
            raise UsageError(f"{self.path} is the home of an identity already", advice="Name another directory with --home.")
        try:
            for directory in (self.path, self.keys, self.tls, self.evidence):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(f"cannot make the home {self.path}: {error.strerror}") from error

    def require(self) -> None:
        """Raise `NotFoundError` unless an identity lives here."""
        if not self.exists:
            advice = "Run `ledger-cli create network NAME` or `ledger-cli join TOKEN`, or name another directory with --home."
            raise NotFoundError(f"nobody lives in {self.path}: it has no config.toml", advice=advice)

    def read_config(self) -> dict[str, object]:
        """Return what config.toml says; nothing when there is none. Raises `UsageError` when it is not TOML."""
        try:
            return tomllib.loads(read_text(self.config))
        except NotFoundError:
            return {}
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise UsageError(f"{self.config} is not TOML: {error}", advice="Correct that line.") from error

    def write_config(self, values: Mapping[str, object]) -> None:
        """Write config.toml anew, whole or not at all. None leaves a key out; `UsageError` for what TOML cannot say."""
        lines = [f"{key} = {_toml(key, value)}\n" for key, value in values.items() if value is not None]
        write_file(self.config, (CONFIG_HEAD + "".join(lines)).encode())


def _toml(key: str, value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(key, one) for one in value) + "]"
    raise UsageError(f"{key} is of a kind that config.toml does not hold")
