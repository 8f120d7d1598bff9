"""What exactly was found wrong with a source: one stable name a lie, beside the code of the error (docs/security.md has the table)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.core.errors import LedgerError

FINDING = "finding"


class Finding(StrEnum):
    """The member `finding` of problems, log lines, status and evidence. Names are never changed, only added."""

    NO_CHECKPOINT = "no-checkpoint"
    NO_KNOWN_ROOT = "no-known-root"
    OTHER_NETWORK = "other-network"
    BAD_LINE = "bad-line"
    WRONG_KEY = "wrong-key"
    TOO_FEW_WITNESSES = "too-few-witnesses"
    BAD_ROOTS = "bad-roots"
    ROOT_NOT_IN_LOG = "root-not-in-log"
    MISPLACED_ROOT = "misplaced-root"
    REFUSED_TREE = "refused-tree"
    TRUNCATED_ENTRIES = "truncated-entries"
    OTHER_ENTRIES = "other-entries"
    ENDLESS_ANSWER = "endless-answer"
    COMPRESSION_BOMB = "compression-bomb"
    UNASKED_CODING = "unasked-coding"
    SECOND_TREE = "second-tree"
    SMALLER_TREE = "smaller-tree"
    DROPPED_ENTRY = "dropped-entry"
    INSERTED_ENTRY = "inserted-entry"
    REORDERED_ENTRIES = "reordered-entries"
    REWRITTEN_ENTRY = "rewritten-entry"
    CLOCK_WENT_BACK = "clock-went-back"
    WRONG_STATE_ROOT = "wrong-state-root"
    FROZEN = "frozen"
    UNKNOWN_FOLD = "unknown-fold"


def named_finding(error: LedgerError) -> Finding | None:
    """Return what `error` was found to be. A name that is none, for a server may have sent it, counts as nothing."""
    named = error.context.get(FINDING)
    return next((one for one in Finding if one == named), None)


def finding_of(error: LedgerError, otherwise: Finding) -> Finding:
    """Return what `error` was found to be, else `otherwise`."""
    return named_finding(error) or otherwise
