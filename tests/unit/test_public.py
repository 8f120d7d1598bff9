"""The public surface: what `from ledger import …` gives, and nothing by accident."""

from __future__ import annotations

import ledger
from ledger.core import errors


def test_the_exported_names_are_pinned() -> None:
    assert set(ledger.__all__) == {"LedgerError"}
    assert ledger.LedgerError is errors.LedgerError
