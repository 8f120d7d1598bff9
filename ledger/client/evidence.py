"""Evidence in files: one a case, for a third party to check offline (`tests/conformance/check_evidence.py`, docs/security.md).

NAME.json             an alarm: split view, rollback, a state root in a mark that is not the state's
bad-source-NAME.json  what a source showed and cannot make good
void-INDEX.json       an entry without effect that was logged all the same
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from hashlib import sha256
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS
from ledger.core.trust import Evidence
from ledger.home.files import write_file

if TYPE_CHECKING:
    from pathlib import Path

KEPT_CASES = 64
BAD_SOURCE = "bad-source-"
VOID = "void-"


def case_name(evidence: Evidence) -> str:
    """Return a name for what a source did, the same whenever it does it again: asking on must not fill the disk."""
    said = "\n".join([evidence.source, evidence.reason, *(sha256(note).hexdigest() for note in evidence.notes)])
    return f"{BAD_SOURCE}{sha256(said.encode()).hexdigest()[:16]}"


def bad_note(source: str, reason: str, now: int, note: bytes) -> Evidence:
    """Return the evidence for a note that is not good; of one that is too long only the beginning is kept."""
    return Evidence(reason, source, now, (note[: LIMITS.note],))


def keep_evidence(directory: Path, name: str, evidence: Evidence) -> Path:
    """Write one case to a file that a third party checks offline: notes, roots and receipts as they came, and the hashes.

    A case that is there stays as it is. Of bad sources and of void entries the newest 64 are kept, of alarms all.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    case = {
        "finding": evidence.finding,
        "reason": evidence.reason,
        "source": evidence.source,
        "at": evidence.at,
        "notes": _texts(evidence.notes),
        "roots": _texts(evidence.roots),
        "receipts": _texts(evidence.receipts),
        "extensions": [asdict(one) for one in evidence.extensions],
        "hashes": [{"whose": one.whose.value, "size": one.size, "root": one.root} for one in evidence.hashes],
    }
    if not path.exists():
        write_file(path, json.dumps(case, indent=2).encode() + b"\n")
        for prefix in (BAD_SOURCE, VOID):
            ordered = sorted(directory.glob(f"{prefix}*"), key=lambda one: one.stat().st_mtime_ns)
            for old in ordered[:-KEPT_CASES]:
                old.unlink()
    return path


def _texts(parts: tuple[bytes, ...]) -> list[str]:
    return [base64.b64encode(part).decode() for part in parts]
