"""`python -m ledger.cli`: the command where no script is installed, as in a container."""

from __future__ import annotations

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
