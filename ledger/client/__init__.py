"""Clients of a ledger: publish, read, verify, follow. `ledger.LedgerClient` is the public door."""
