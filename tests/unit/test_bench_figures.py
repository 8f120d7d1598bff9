"""The benchmarks' report: a ratio is value over baseline, and only of one unit."""

from __future__ import annotations

import pytest

from tests.bench.figures import Bound, Figure, Report


def report_of(*figures: Figure) -> Report:
    report = Report()
    for figure in figures:
        report.add(figure)
    return report


def test_report_ratio_is_value_over_baseline() -> None:
    report = report_of(Figure("etcd", 400.0, "/s"), Figure("publish", 300.0, "/s", "etcd"))
    assert report.ratio("publish") == 0.75
    assert report.ratio("etcd") is None
    assert report.document()[1]["ratio"] == 0.75


def test_report_table_is_aligned_markdown() -> None:
    report = report_of(Figure("etcd", 12_345.6, "/s"), Figure("publish", 6.789, "/s", "etcd", "over TLS"))
    heading, rule, first, second = report.table().splitlines()
    assert len({len(heading), len(rule), len(first), len(second)}) == 1
    assert [cell.strip() for cell in first.split("|")[1:-1]] == ["etcd", "12,346 /s", "", "", "", "", "", ""]
    assert [cell.strip() for cell in second.split("|")[1:-1]] == ["publish", "6.79 /s", "etcd", "0.00", "", "", "", "over TLS"]


def test_a_tail_is_held_to_a_bound_beside_the_ratio() -> None:
    bound = Bound(least=0.7)
    for value, tail, holds in ((300.0, 3.9, True), (300.0, 4.1, False), (200.0, 3.9, False)):
        report = report_of(Figure("etcd", 400.0, "/s"), Figure("publish", value, "/s", "etcd", bound=bound, tail=tail, most_tail=4.0))
        assert report.holds("publish") is holds
        assert "ratio ≥ 0.7; p99/p50 ≤ 4" in report.table()


def test_report_baseline_not_measured_is_refused() -> None:
    with pytest.raises(KeyError):
        report_of(Figure("publish", 1.0, "/s", "etcd"))


def test_report_baseline_of_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="not in the same unit"):
        report_of(Figure("etcd", 1.0, "ms"), Figure("publish", 1.0, "/s", "etcd"))


def test_report_says_what_falls_short() -> None:
    report = report_of(
        Figure("etcd", 400.0, "/s", also=()),
        Figure("disk", 1_000.0, "/s"),
        Figure("publish", 100.0, "/s", "etcd", "TLS", Bound(least=0.5), tail=2.5, also=("disk",)),
        Figure("memory", 150.0, "MiB", bound=Bound(most=200, of_value=True)),
        Figure("bytes, more", 412.0, "/s", "etcd", bound=Bound(0.95, 1.05)),
    )
    assert [report.holds(name) for name in report.figures] == [None, None, False, True, True]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in report.table().splitlines()[4:]]
    assert rows[0] == ["publish", "100 /s", "etcd", "0.25", "2.5", "ratio ≥ 0.5", "SHORT", "TLS; 0.10 of disk"]
    assert rows[1][5:7] == ["≤ 200 MiB", "yes"]
    assert rows[2][5:7] == ["ratio ≥ 0.95, ≤ 1.05", "yes"]
    assert report.document()[2]["holds"] is False


def test_report_other_baseline_of_another_unit_is_refused() -> None:
    with pytest.raises(ValueError, match="not in the same unit"):
        report_of(Figure("disk", 1.0, "ms"), Figure("publish", 1.0, "/s", also=("disk",)))
