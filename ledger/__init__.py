"""metaledger: signed metadata policies in a tamper-evident ledger.

What this package exports is the public Python interface; every other module may change at any time.
"""

from ledger.core.errors import LedgerError

__all__ = ["LedgerError"]
