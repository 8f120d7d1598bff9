"""`python -m ledger.cli`: the command where no script is installed, as in a container."""

from __future__ import annotations

from .program import main

if __name__ == "__main__":
    main()
