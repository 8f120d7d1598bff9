"""Whom a replica believes about its log (FORMATS 9 and 11). Pure: notes, roots and entries in; verdict, evidence and state out.

The shell only fetches, applies and stores. For every note, from whatever source:

    judged = judge_note(state, view, raw, source, now)
    NeedRoot    get that root, call judge_root, look again
    Fetch       get the entries; open a transaction; go back to `start` if that is below the replica's size; apply; call judge_entries
    FetchAll    get all entries into a TreeCheck; call judge_tree
    Taken       commit the transaction with the state; with any other verdict undo it, and store the state alone

The steps, whose numbers stand in the code:

 1. The note is at most 16 KiB and of three lines.
 2. It is good by the roots known: those of the replica, then also fetched ones.
 3. If not, or if the sync is stopped: get roots of the same source upwards; then below own ones, for a log that was continued there.
 4. Size reached already: its root is the replica's, or there is a split view. A clock line that went back is a rollback.
 5. Size not reached: keep the note, then fetch from the replica's size (after `continues`: from there).
 6. The entries make its root; if not, fetch the whole tree: step 14.
 7. Every root that was fetched for it stands in its entries; else the source is bad.
 8. A root with a new `continues` stands at that size, over that root hash.
 9. The note is good by the roots that stand in the entries. Fetched roots are forgotten here.
10. Its clock lines contradict none seen before, by the keys that its newest root lists.
11. Every kept note that is reached now has the replica's root, and no kept note's clock line contradicts another, as far
    as they are good by the roots that are in the log now.
12. Alarms that its newest root ends are over. If one is left, the note waits.
13. The entries and the state are committed together.
14. The whole tree makes the root of the note and holds the fetched roots: if it differs from the replica's there is a
    split view, else the source is bad.

A chain's final blocks and reorganisations are in `providers` and `heads`.
A ticket is good for the replica as it was when the note came: one note is judged to its end before the next.
"""

from __future__ import annotations

from ledger.core.trust.alarms import acknowledge, keep_own, take_other
from ledger.core.trust.entries import judge_entries, judge_mismatch, judge_tree
from ledger.core.trust.evidence import Alarm, AlarmKind, EndedAlarm, Evidence, Origin, TreeHash, Way, WentBack
from ledger.core.trust.findings import FINDING, Finding, finding_of, named_finding
from ledger.core.trust.freshness import Freshness, Level, judge_freshness, newest_line
from ledger.core.trust.good import GoodNote, judge_good
from ledger.core.trust.roots import Continues, FetchedRoot, PlacedRoot, ReplicaView
from ledger.core.trust.sight import judge_note, judge_root
from ledger.core.trust.state import TrustState
from ledger.core.trust.tenure import Tenure, tenures
from ledger.core.trust.tree import TreeCheck
from ledger.core.trust.verdicts import (
    BadNote,
    BadSource,
    Behind,
    Current,
    Fetch,
    FetchAll,
    Judged,
    NeedRoot,
    NextStep,
    Pending,
    Rollback,
    SplitView,
    Taken,
    Ticket,
    Verdict,
)

__all__ = [
    "FINDING",
    "Alarm",
    "AlarmKind",
    "BadNote",
    "BadSource",
    "Behind",
    "Continues",
    "Current",
    "EndedAlarm",
    "Evidence",
    "Fetch",
    "FetchAll",
    "FetchedRoot",
    "Finding",
    "Freshness",
    "GoodNote",
    "Judged",
    "Level",
    "NeedRoot",
    "NextStep",
    "Origin",
    "Pending",
    "PlacedRoot",
    "ReplicaView",
    "Rollback",
    "SplitView",
    "Taken",
    "Tenure",
    "Ticket",
    "TreeCheck",
    "TreeHash",
    "TrustState",
    "Verdict",
    "Way",
    "WentBack",
    "acknowledge",
    "finding_of",
    "judge_entries",
    "judge_freshness",
    "judge_good",
    "judge_mismatch",
    "judge_note",
    "judge_root",
    "judge_tree",
    "keep_own",
    "named_finding",
    "newest_line",
    "take_other",
    "tenures",
]
