"""The home directory of one identity, its settings, and the way from a ledger URL to a backend."""
