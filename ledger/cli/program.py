"""`ledger-cli` as a program of its own: Ctrl-C ends it with 130 and one word, at any moment.

While its modules load, nothing is under way, so it ends at once. When the command has ended, its exit code stands.
"""

from __future__ import annotations

import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command in `sys.argv` and end the process with its exit code."""
    heeded = signal.getsignal(signal.SIGINT) is not signal.SIG_IGN  # what a shell starts in the background may ignore it
    if heeded:
        signal.signal(signal.SIGINT, _leave)
    from ledger.cli.main import main as run  # noqa: PLC0415 - it takes long, and is to be interrupted too

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    code = run()
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _leave(_number: int, _frame: object) -> None:
    os.write(sys.stderr.fileno(), b"interrupted\n")
    os._exit(INTERRUPTED)
