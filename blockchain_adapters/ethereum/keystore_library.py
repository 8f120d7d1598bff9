"""eth-account, without what one of its dependencies does to the interpreter: py_ecc raises the recursion limit to 100,000.

With that limit, hostile JSON of some 100,000 brackets overflows the C stack and kills the process; with Python's own limit it is an error.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()
try:
    from eth_account import Account as EthAccount
finally:
    sys.setrecursionlimit(_limit)

__all__ = ["EthAccount"]
