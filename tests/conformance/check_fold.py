"""check_fold.py FILE.json: judge every entry of a fold vector file with this package and compare.

Exit status 0 only if every verdict and every state root agree. The first disagreement goes to stderr.
A file may end with a root of a fold that this program does not know: nothing may follow it.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

from ledger.core.errors import LedgerError
from ledger.core.fold import Void, judge
from ledger.core.keys import self_test
from ledger.core.state import DictState


def first_disagreement(vectors: dict[str, Any]) -> str | None:
    """Return what differs first, None if nothing does."""
    state = DictState()
    for number, row in enumerate(vectors["entries"]):
        if row["index"] != number:
            return f"entry {number}: the file calls it {row['index']}"
        outcome = judge(state, base64.b64decode(row["entry"], validate=True), number)
        found = "void" if isinstance(outcome, Void) else "accepted"
        if found != row["verdict"]:
            why = f" ({outcome.reason})" if isinstance(outcome, Void) else ""
            return f"entry {number} is {row['verdict']} ({row.get('note', '')}); here it is {found}{why}"
        if not isinstance(outcome, Void):
            state.apply(outcome)
        if state.state_root() != row["state_root"]:
            return f"entry {number}: the state root is {row['state_root']}; here it is {state.state_root()}"
    if "network" in vectors and (vectors["network"] or None) != state.network:
        return f"the network is {vectors['network']}; here it is {state.network}"
    return None


def main(arguments: list[str]) -> int:
    """Check one file; return the exit status."""
    parser = argparse.ArgumentParser(description="Check a fold vector file.")
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args(arguments).file
    try:
        self_test()
        difference = first_disagreement(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, LedgerError) as error:
        difference = f"cannot be judged: {error!r}"
    if difference is not None:
        print(f"{path}: {difference}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
