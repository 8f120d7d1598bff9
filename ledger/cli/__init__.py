"""`ledger-cli`: one file a command group. Composition root: reads settings, builds clients, prints."""
