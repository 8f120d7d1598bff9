"""From a ledger URL to an open backend, by entry point.

A plug-in is an object named in the entry point group `metaledger.backends` under its family: the scheme up
to its plus sign. Only the plug-in asked for is loaded, so what an adapter needs is imported by nobody else.
An entry point may name the extra that brings its libraries; if they are missing the error says so.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoints, entry_points
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.core.errors import InternalError, MissingExtraError, UsageError
from ledger.home.settings import nearest
from ledger.home.url import EXAMPLES, LedgerUrl, parse_ledger_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from ledger.core.backend import Backend
    from ledger.core.canonical import JSON
    from ledger.core.ports import Clock, Observer
    from ledger.home.home import Home
    from ledger.home.settings import Settings

GROUP = "metaledger.backends"
OURS = ("ledger", "master", "auth", "blockchain_adapters")


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What a plug-in may use besides the URL: the identity's home and settings, and the world's clock and observer."""

    home: Home
    settings: Settings
    clock: Clock
    observer: Observer


@runtime_checkable
class BackendScheme(Protocol):
    """A plug-in: which schemes it serves, and how it opens a URL of one."""

    @property
    def schemes(self) -> tuple[str, ...]:
        """Return the schemes it serves, each with its transport: `https`, `ethereum+http`."""
        ...

    async def open(self, url: LedgerUrl, context: BackendContext) -> Backend:
        """Return an open backend; the caller closes it. Raises domain errors only."""
        ...


@runtime_checkable
class OrderingScheme(BackendScheme, Protocol):
    """A plug-in for what can order a network by itself, without a master."""

    async def order(self, url: LedgerUrl, context: BackendContext) -> Mapping[str, JSON]:
        """Return the order that a root names to have its network ordered there. Raises domain errors only."""
        ...

    async def begin(self, url: LedgerUrl, context: BackendContext, network: str) -> Backend:
        """Return the open, still empty ledger of a network that is being made; the caller closes it."""
        ...

    def adopt(self, account: Path, home: Home) -> None:
        """Put the account that pays for writing, a key file, into a home (blocking)."""
        ...


def find_scheme(url: LedgerUrl, plugins: EntryPoints | None = None) -> BackendScheme:
    """Return the plug-in for `url`.

    Raises `UsageError` for a scheme nobody serves and `MissingExtraError` when its libraries are not installed.
    """
    plugins = entry_points(group=GROUP) if plugins is None else plugins
    found = next(iter(plugins.select(name=url.family)), None)
    if found is None:
        near = nearest(url.family, plugins.names)
        advice = f"Did you mean {near}?" if near else f"Ledger URLs: {EXAMPLES}."
        raise UsageError(f"no backend serves {url.scheme}:// URLs", advice=advice)
    scheme = _load(found)
    if url.scheme not in scheme.schemes:
        raise UsageError(f"no backend serves {url.scheme}:// URLs", advice="Write " + " or ".join(f"{one}://" for one in scheme.schemes))
    return scheme


async def open_ledger(text: str, context: BackendContext) -> Backend:
    """Open the ledger that a URL names. The caller closes it."""
    url = parse_ledger_url(text)
    scheme = await asyncio.to_thread(find_scheme, url)  # it reads the metadata of what is installed, and imports
    return await scheme.open(url, context)


def _load(plugin: EntryPoint) -> BackendScheme:
    with _named(plugin):
        scheme = plugin.load()
    if not isinstance(scheme, BackendScheme):
        raise InternalError(f"the entry point {plugin.name} of {GROUP} names no backend scheme")
    return scheme


@contextmanager
def adapter_of(family: str) -> Iterator[None]:
    """Stand around an import of the adapter that serves a family of URLs. MissingExtraError when its libraries are not installed."""
    [plugin] = entry_points(group=GROUP).select(name=family)
    with _named(plugin):
        yield


@contextmanager
def _named(plugin: EntryPoint) -> Iterator[None]:
    """Say which extra brings a library that is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library in OURS or not library:
            raise
        advice = f'Install it: pip install "metaledger[{",".join(plugin.extras)}]"' if plugin.extras else f"Install {library}."
        raise MissingExtraError(f"{plugin.name} ledgers need {library}, which is not installed", advice=advice) from error
