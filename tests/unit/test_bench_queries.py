"""The benchmark of queries asks what it says: each of its queries leads to as many as it should, on a small store too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.figures import Report
from tests.bench.query.asking import SCAN, measure_queries, queries
from tests.bench.query.policies import make_store

if TYPE_CHECKING:
    from pathlib import Path


def test_every_query_leads_to_what_it_should(tmp_path: Path) -> None:
    report = Report()
    store = make_store(tmp_path, 2_000)
    try:
        measure_queries(report, store, 2_000)
    finally:
        store.close()
    assert list(report.figures) == [one.name for one in queries(2_000)]
    assert [name for name in report.figures if report.ratio(name) is None] == [SCAN]
