"""The size of entries as they are in life: airports and what hosts their data, signed."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tests.bench.figures import Figure, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.envelope import Envelope


def measure_sizes(report: Report, envelopes: Sequence[Envelope]) -> None:
    """Add the sizes of entries by kind, beside those of their statements."""
    sizes: dict[str, list[tuple[int, int]]] = {}
    for envelope in envelopes:
        sizes.setdefault(envelope.statement.kind, []).append((len(envelope.payload), len(envelope.entry)))
    for kind, both in sizes.items():
        payloads, entries = zip(*both, strict=True)
        name = f"statement, {kind}"
        report.add(Figure(name, statistics.median(payloads), "B", remark=f"median; {min(payloads)} to {max(payloads)}"))
        report.add(Figure(f"entry, {kind}", statistics.median(entries), "B", name, remark=f"median; {min(entries)} to {max(entries)}"))
