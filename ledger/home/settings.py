"""The settings of one identity: what they are, and where each value comes from.

Precedence: flag, then METALEDGER_<NAME>, then METALEDGER_<NAME>_FILE (secrets only), then config.toml, then
the default. Unknown names are refused with the nearest valid one. The fields of `Settings` are the
reference manual: their text is what people read. Composition roots read settings once and hand them down.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.core.errors import UsageError
from ledger.home.files import read_secret, require_private
from ledger.home.home import Home
from ledger.home.readers import choice_of, read_bool, read_count, read_listen, read_seconds, read_text, read_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.home.readers import Reader

PREFIX = "METALEDGER_"
HOME_VARIABLE = "METALEDGER_HOME"


def _setting(default: object, read: Reader, doc: str, *, secret: bool = False, common: str = "") -> Any:
    """Declare a setting; `common` is a variable under which other programs have it too."""
    return field(default=default, repr=not secret, metadata={"read": read, "doc": doc, "secret": secret, "common": common})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set, typed and checked. Secrets do not show in its repr."""

    role: str = _setting(
        "member", choice_of("master", "node", "member"), "What this home is for: master, node or member. Written by create and join."
    )
    network: str | None = _setting(
        None, read_text, "The network id, 64 hex digits. Pinned by create and join; a change makes another home of it."
    )
    ledger: str | None = _setting(None, read_text, "Ledger URL: https://HOST:PORT, or sqlite:///PATH for an embedded ledger.")
    sources: tuple[str, ...] = _setting(
        (), read_texts, "Further URLs of the same log. Every tenth poll asks one of them: two views are found only by comparing."
    )
    name: str | None = _setting(None, read_text, "The member name of this identity.")
    server: str | None = _setting(
        None, read_text, "The member name of the server at the ledger URL: the audience of this home's assertions."
    )
    log_vkeys: tuple[str, ...] = _setting((), read_texts, "Verifier keys of the log, pinned at creation or by the first verified root.")
    listen: str | None = _setting(
        None, read_listen, "HOST:PORT to serve on; a master's default is 127.0.0.1:8443, a node's 127.0.0.1:8444."
    )
    metrics_listen: str | None = _setting(
        None, read_listen, "HOST:PORT of the metrics listener. It has no access control: keep it on a private address. Off when unset."
    )
    public_read: bool = _setting(False, read_bool, "Serve the log to everyone, without tokens. What was read cannot be taken back.")
    relay: bool = _setting(False, read_bool, "Let a node serve the log to other nodes.")
    max_age: float | None = _setting(
        None, read_seconds, "Make reads fail with exit 4 when the replica is older than this; unset: they answer and say so."
    )
    poll: float = _setting(30.0, read_seconds, "Seconds between polls where the watch stream is not to be had; 20 % of jitter is added.")
    confirmations: int | None = _setting(
        None,
        read_count,
        "Blocks on top after which a block of a chain counts as final. Unset: what the chain itself calls final, or 64 where it does not.",
    )
    max_fee: int = _setting(100, read_count, "The most that a transaction on Ethereum offers for a gas, in gwei. Above it, writing waits.")
    max_tip: int = _setting(5, read_count, "The most of that which goes to who includes it, in gwei.")
    max_gas: int = _setting(16_777_216, read_count, "The most gas that one transaction on Ethereum may use; larger batches become several.")
    java_home: str | None = _setting(
        None, read_text, "Where Java is, for ledgers on Hyperledger Fabric. Unset: JAVA_HOME, else the PATH.", common="JAVA_HOME"
    )
    drain: float = _setting(20.0, read_seconds, "How long a stopping server lets requests finish.")
    log_level: str = _setting("info", choice_of("debug", "info", "warning", "error"), "The least level of log lines on stderr.")
    accept_fork_risk: int | None = _setting(
        None,
        read_count,
        "After a restore: sign on from this tree size although nothing proves that it was the last. A wrong size forks the log.",
    )
    join: str | None = _setting(None, read_text, "Join token for the first start of a node.", secret=True)
    passphrase: str | None = _setting(None, read_text, "Passphrase of the key files in this home.", secret=True)


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings, where each value came from, and what the operator should hear."""

    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """A setting as people read of it."""

    name: str
    doc: str
    default: object
    secret: bool

    @property
    def variable(self) -> str:
        """Return its name in the environment."""
        return PREFIX + self.name.upper()


def describe_settings() -> tuple[SettingDoc, ...]:
    """Return the reference of all settings, in the order of `Settings`."""
    return tuple(SettingDoc(f.name, f.metadata["doc"], f.default, f.metadata["secret"]) for f in fields(Settings))


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """Return the name in `valid` that `word` most likely means, if any is near."""
    return next(iter(difflib.get_close_matches(word, list(valid), 1, 0.6)), None)


def find_home(home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the home directory: the one given, METALEDGER_HOME's, else ~/.metaledger."""
    if home is not None:
        return home.absolute()
    named = environ.get(HOME_VARIABLE)
    return Path(named).absolute() if named else Path.home() / ".metaledger"


def load_settings(home: Path | None, flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that hold for `home`; as `read_settings` without origins and warnings."""
    return read_settings(home, flags, environ).settings


def read_settings(home: Path | None, flags: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> Reading:
    """Read the settings from every place, strongest first.

    Raises `UsageError` for an unknown name, a value of the wrong form, or a file that is too open.
    """
    place = Home(find_home(home, environ))
    config = place.read_config()
    known = {f.name: f for f in fields(Settings)}
    secrets = {name for name, f in known.items() if f.metadata["secret"]}
    variables = {PREFIX + name.upper(): name for name in known}
    twins = {f"{PREFIX}{name.upper()}_FILE": name for name in secrets}
    _refuse_unknown(flags, known, "option")
    _refuse_unknown((v for v in environ if v.startswith(PREFIX)), (*variables, *twins, HOME_VARIABLE), "variable")
    _refuse_unknown(config, known, f"key in {place.config}:")
    if secrets & config.keys():
        require_private(place.config)
    warnings: list[str] = []
    found: dict[str, tuple[object, str]] = {name: (value, str(place.config)) for name, value in config.items()}
    for twin, name in twins.items():
        if twin in environ:
            found[name] = (_read_secret(Path(environ[twin]), warnings), twin)
    shared = {f.metadata["common"]: name for name, f in known.items() if f.metadata["common"] and name not in found}
    found |= {name: (environ[variable], variable) for variable, name in (shared | variables).items() if variable in environ}
    found |= {name: (value, "--" + name.replace("_", "-")) for name, value in flags.items()}
    values = {name: _typed(name, value, origin, known[name].metadata["read"]) for name, (value, origin) in found.items()}
    return Reading(Settings(**values), {name: origin for name, (_, origin) in found.items()}, tuple(warnings))


def _refuse_unknown(names: Iterable[str], known: Iterable[str], noun: str) -> None:
    valid = list(known)
    for name in names:
        if name not in valid:
            near = nearest(name, valid)
            advice = f"Did you mean {near}?" if near else "docs/operations.md lists the settings."
            raise UsageError(f"unknown {noun} {name}", advice=advice)


def _read_secret(path: Path, warnings: list[str]) -> str:
    try:
        return read_secret(path, warnings.append).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def _typed(name: str, value: object, origin: str, read: Reader) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise UsageError(f"{name} (from {origin}) must be {error}") from error
