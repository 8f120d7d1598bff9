"""The public surface: what `from ledger import …` gives, and nothing by accident."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ledger
from ledger import LedgerClient
from ledger.client import client
from ledger.core import errors

LOADED = "import ledger.core.errors, sys; print(*(m for m in sys.modules if m.startswith(('ledger', 'aiohttp', 'apsw'))))"


def test_the_exported_names_are_pinned() -> None:
    assert set(ledger.__all__) == {"LedgerClient", "LedgerError"}
    assert ledger.LedgerError is errors.LedgerError
    assert LedgerClient is client.LedgerClient
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        getattr(ledger, "absent")  # noqa: B009 - a name that no type checker knows


def test_the_core_brings_nothing_else_along() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"ledger", "ledger.core", "ledger.core.errors"}
