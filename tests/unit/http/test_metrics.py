"""Metrics: bounded labels, nothing of a request's text."""

from __future__ import annotations

import io

import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from ledger.http.call import Call
from ledger.http.logs import EventLog
from ledger.http.metrics import Metrics
from ledger.http.observers import ServiceObserver
from tests.support.identities import FrozenClock


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


async def shown(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    (route,) = metrics.routes()
    answer = await route.answer(Call(make_mocked_request("GET", "/metrics"), "r"))
    body = getattr(answer, "body", b"")
    assert isinstance(body, bytes)
    families = text_string_to_metric_families(body.decode())
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


async def test_answers_are_counted_by_route_and_status(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.answered("GET /checkpoint", 200, 0.002)
    metrics.answered("GET /v1/watch", 200, None)
    found = await shown(metrics)
    assert found["metaledger_http_requests_total", (("route", "GET /checkpoint"), ("status", "200"))] == 3
    assert found["metaledger_http_request_seconds_count", (("route", "GET /checkpoint"),)] == 3
    assert found["metaledger_http_requests_total", (("route", "GET /v1/watch"), ("status", "200"))] == 1
    assert ("metaledger_http_request_seconds_count", (("route", "GET /v1/watch"),)) not in found
    assert found["metaledger_http_request_seconds_bucket", (("le", "0.0025"), ("route", "GET /checkpoint"))] == 3
    assert found["metaledger_http_request_seconds_bucket", (("le", "0.001"), ("route", "GET /checkpoint"))] == 0


async def test_batches_and_gauges_are_shown(metrics: Metrics) -> None:
    metrics.gauge("log_size", "Entries.", lambda: 42)
    metrics.event("sequencer.batch", entries=7, seconds=0.01)
    found = await shown(metrics)
    assert found["metaledger_log_size", ()] == 42
    assert found["metaledger_batch_entries_sum", ()] == 7
    assert found["metaledger_events_total", (("event", "sequencer.batch"),)] == 1


def test_observer_writes_down_what_people_look_for(metrics: Metrics) -> None:
    stream = io.BytesIO()
    observer = ServiceObserver(metrics, EventLog(stream, FrozenClock()))
    observer.event("sequencer.batch", entries=1)
    assert stream.getvalue() == b""
    observer.event("sequencer.fork-risk", reason="old")
    assert b'"level":"error"' in stream.getvalue()
