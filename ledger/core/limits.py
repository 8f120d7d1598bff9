"""Every limit of the product, each with its unit, in one frozen place (docs/formats.md, docs/operations.md).

Limits that FORMATS freezes carry the section; the others are the operator's protection and may grow.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on what is taken in. Bytes unless the name says otherwise."""

    statement: int = 32 * KIB  # FORMATS 3
    body: int = 31 * KIB  # FORMATS 3
    entry: int = 65_535  # FORMATS 4; also the 2-byte length of the framing
    signatures: int = 16  # FORMATS 4
    nesting: int = 32  # FORMATS 1; levels of a statement, itself being 1
    set_size: int = 1_024  # FORMATS 1; members of a set
    number: int = 2**53 - 1  # FORMATS 1; largest magnitude
    note: int = 16 * KIB  # FORMATS 9
    kept_notes: int = 16  # FORMATS 9
    request: int = 8 * MIB
    request_entries: int = 1_000
    batch_entries: int = 1_000
    batch_bytes: int = 4 * MIB
    queue: int = 8_192  # entries waiting for the sequencer
    page: int = 1_000  # entries or policies an answer
    query_text: int = 8 * KIB
    brought: int = 64  # fields and texts of one bring
    brought_values: int = 5_000_000  # values that the fields of one bring look at
    joined: int = 250_000  # values and pairs of policies that a second query looks at
    seconds: int = 4  # second queries of one query
    relatives: int = 250_000  # policies and steps on the ways of one hierarchy
    tree_levels: int = 64
    query_steps: int = 500_000_000  # of SQLite's machine; looking at a policy costs about a hundred, with an easy condition
    ledger_file: int = 128 * MIB  # of AnyLog or EdgeLake
    inflated: int = 4 * MIB  # FORMATS 11
    connections: int = 12_000
    mark_after_seconds: int = 60  # FORMATS 6
    clock_jump_seconds: int = 300  # FORMATS 9
    skew_seconds: int = 300
    heartbeat_seconds: float = 15.0
    poll_seconds: float = 30.0
    poll_jitter: float = 0.2
    backoff_seconds: float = 600.0
    access_token_seconds: int = 900
    assertion_seconds: int = 60
    invite_seconds: int = 3_600
    member_certificate_days: int = 90
    ca_days: int = 3_650
    drain_seconds: float = 20.0


LIMITS = Limits()
