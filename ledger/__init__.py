"""metaledger: signed metadata policies in a tamper-evident ledger.

What this package exports is the public Python interface; every other module may change at any time. The
client is imported when it is first named, so that a module of the pure core brings nothing else along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import LedgerError

if TYPE_CHECKING:
    from ledger.client.client import LedgerClient

__all__ = ["LedgerClient", "LedgerError"]


def __getattr__(name: str) -> object:
    if name != "LedgerClient":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ledger.client.client import LedgerClient  # noqa: PLC0415 - see the module docstring

    return LedgerClient
