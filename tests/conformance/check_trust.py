"""check_trust.py FILE.json: judge the notes of a trust vector file (FORMATS 9 and 11) with this package and compare.

Exit status 0 only if every answer agrees. The first disagreement goes to stderr.

A file has `cases`, each either one note judged by the roots of a log:
    {"name", "log", "note", "answer": {"good": true, "line": newest clock time or null} or {"good": false}}
or a replica, new at first, that hears notes one after the other:
    {"name", "network", "steps": [{"note", "source": {"log", "roots", "serves"}, "answer": {…}}, …]}
`logs` names lists of numbers of `entries` (text; what is no root is void). A source serves the entries of `log`, none of them
when `serves` is false, and as `/v1/roots/1`, `/2` … those of the numbers `roots`. The answer to a step: `verdict` as below, and
after it the replica's `size`, the kinds of its `alarms`, and `line`, the time by which freshness is judged (null: none).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledger.core.envelope import parse_envelope
from ledger.core.errors import BadSourceError, LedgerError
from ledger.core.fold import Void, judge
from ledger.core.keys import self_test
from ledger.core.merkle import EMPTY_ROOT, Frontier, HashList, consistency_proof, leaf_hash, leaf_hashes
from ledger.core.root import parse_root
from ledger.core.state import DictState
from ledger.core.trust import (
    BadNote,
    BadSource,
    Behind,
    Current,
    Fetch,
    FetchAll,
    Judged,
    NeedRoot,
    Pending,
    PlacedRoot,
    Rollback,
    SplitView,
    Taken,
    TreeCheck,
    TrustState,
    judge_entries,
    judge_good,
    judge_note,
    judge_root,
    judge_tree,
    newest_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NOW: Final = 1_000_000
_VERDICTS: Final = (
    (Taken, "taken"),  # the entries are committed
    (Current, "current"),  # the tree that the replica holds
    (Behind, "behind"),  # a smaller tree of its log
    (Fetch, "waits for entries"),  # good so far, kept to compare
    (FetchAll, "waits for entries"),
    (Pending, "waits for a root"),  # good, kept to compare, but the sync is stopped
    (BadNote, "bad note"),
    (BadSource, "bad source"),
    (SplitView, "split view"),
    (Rollback, "rollback"),
)


class Log:
    """Entries with the state they fold to, the root hash at every size, and the accepted roots: a ReplicaView."""

    def __init__(self, network: str | None, entries: Iterable[bytes] = ()) -> None:
        self.entries: list[bytes] = []
        self._state = DictState(network)
        self._frontier = Frontier()
        self._hashes = [EMPTY_ROOT]
        self._roots: list[PlacedRoot] = []
        for entry in entries:
            self.append(entry)

    @property
    def size(self) -> int:
        """See ReplicaView."""
        return len(self.entries)

    def root_at(self, size: int) -> bytes | None:
        """See ReplicaView."""
        return self._hashes[size] if size <= self.size else None

    def extension(self, old: int, new: int) -> tuple[bytes, ...]:
        """See ReplicaView."""
        nodes = Frontier().append_many(leaf_hashes(self.entries[:new]))
        return consistency_proof(old, new, HashList([node for _, node in nodes]))

    def roots(self) -> Sequence[PlacedRoot]:
        """See ReplicaView."""
        return self._roots

    def append(self, entry: bytes) -> None:
        """Take the next entry."""
        index = self.size
        outcome = judge(self._state, entry, index)
        self._frontier.append(leaf_hash(entry))
        self._hashes.append(self._frontier.root())
        self.entries.append(entry)
        if isinstance(outcome, Void):
            return
        self._state.apply(outcome)
        if outcome.records[0].kind == "root":
            self._roots.append(PlacedRoot(index, parse_envelope(entry).statement.digest, parse_root(outcome.records[0].body)))


class Replica:
    """Hears notes. The state goes through its stored form after each step, as over a restart."""

    def __init__(self, network: str) -> None:
        self.log = Log(network)
        self.state = TrustState(network)
        self._network = network

    def hear(self, note: bytes, source: Log, roots: Sequence[bytes], *, serves: bool) -> dict[str, Any]:
        """Judge a note to its end and return the answer, as the files state it."""
        judged = judge_note(self.state, self.log, note, "source", NOW)
        while True:
            self.state = TrustState.from_json(judged.state.to_json())
            verdict = judged.verdict
            following = self._follow(judged, source, roots, serves=serves)
            if following is None:
                return self._answer(verdict)
            judged = following

    def _follow(self, judged: Judged, source: Log, roots: Sequence[bytes], *, serves: bool) -> Judged | None:
        step = judged.verdict
        if isinstance(step, NeedRoot):
            root = roots[step.version - 1] if step.version <= len(roots) else None
            return judge_root(self.state, self.log, step, root, NOW)
        if not isinstance(step, Fetch | FetchAll) or not serves or source.size < step.end:
            return None
        if isinstance(step, FetchAll):
            check = TreeCheck(step, self.state)
            check.add(source.entries[: step.end])
            return judge_tree(self.state, self.log, check, NOW)
        after = Log(self._network, [*self.log.entries[: step.start], *source.entries[step.start : step.end]])
        judged = judge_entries(self.state, after, step, NOW)
        if isinstance(judged.verdict, Taken):
            self.log = after
        return judged

    def _answer(self, verdict: object) -> dict[str, Any]:
        name = next(name for kind, name in _VERDICTS if isinstance(verdict, kind))
        roots = self.log.roots()
        line = newest_line(self.state, roots[-1].root) if roots else None
        alarms = sorted({alarm.kind.value for alarm in self.state.alarms})
        return {"verdict": name, "size": self.log.size, "alarms": alarms, "line": line}


def judge_case(vectors: dict[str, Any], case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the answers of this package to one case: one, or one a step."""
    if "steps" not in case:
        return [_judge_by_roots(case["note"].encode(), _log(vectors, case["log"]))]
    replica, answers = Replica(case["network"]), []
    for step in case["steps"]:
        source = step["source"]
        roots = [vectors["entries"][number].encode() for number in source["roots"]]
        answers.append(replica.hear(step["note"].encode(), _log(vectors, source["log"]), roots, serves=source["serves"]))
    return answers


def _log(vectors: dict[str, Any], name: str) -> Log:
    return Log(None, (vectors["entries"][number].encode() for number in vectors["logs"][name]))


def _judge_by_roots(note: bytes, log: Log) -> dict[str, Any]:
    try:
        good = judge_good(note, log.roots())
    except BadSourceError:
        return {"good": False}
    return {"good": True, "line": None if good.time < 0 else good.time}


def first_disagreement(vectors: dict[str, Any]) -> str | None:
    """Return what differs first, None if nothing does."""
    for case in vectors["cases"]:
        stated = [step["answer"] for step in case.get("steps", [case])]
        for number, (wanted, found) in enumerate(zip(stated, judge_case(vectors, case), strict=True)):
            if wanted != found:
                return f"{case['name']}, note {number}: {wanted} in the file; here it is {found}"
    return None


def main(arguments: list[str]) -> int:
    """Check one file; return the exit status."""
    parser = argparse.ArgumentParser(description="Check a trust vector file.")
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args(arguments).file
    try:
        self_test()
        difference = first_disagreement(json.loads(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, LedgerError) as error:
        difference = f"cannot be judged: {error!r}"
    if difference is not None:
        print(f"{path}: {difference}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
