"""The OpenAPI document against what is served: a valid document, honest answers as it says, and 200 cases a route made from it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings, strategies
from jsonschema_rs import validator_for
from schemathesis.core.result import Ok

from tests.support.live import live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from schemathesis import APIOperation, Case

    from tests.support.live import LiveNetwork

CASES = 200
MOST_SECONDS = 60.0
SLOW_SECONDS = 20.0
PROBLEM = "application/problem+json"
FEED = "text/event-stream"
OPERATIONS = (
    "GET /.well-known/jwks.json",
    "GET /checkpoint",
    "GET /healthz",
    "GET /openapi.json",
    "GET /readyz",
    "GET /tile/{path}",
    "GET /v1/crl",
    "GET /v1/entries",
    "GET /v1/indexes",
    "GET /v1/policies",
    "GET /v1/policies/{id}",
    "GET /v1/policies/{id}/history",
    "GET /v1/receipts/{digest}",
    "GET /v1/roots/{n}",
    "GET /v1/status",
    "GET /v1/watch",
    "POST /v1/certificates",
    "POST /v1/checkpoints",
    "POST /v1/entries",
    "POST /v1/indexes",
    "POST /v1/query",
    "POST /v1/token",
)


UNKNOWN = strategies.one_of(strategies.just(""), strategies.dictionaries(strategies.text(), strategies.text(), max_size=3).map(urlencode))
PROFILE = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@schemathesis.serializer("application/pkcs10", "application/x-pem-file")
def as_it_is(_: object, value: object) -> bytes:
    """Return a generated body as bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


def asks_anything(described: Described, operation: str) -> bool:
    """Tell whether a route takes anything that can be wrong by its form."""
    method, path = operation.split(" ")
    found = described.document["paths"][path][method.lower()]
    return "requestBody" in found or any(one["schema"] != {"type": "string"} for one in found["parameters"])


@dataclass
class Described:
    """A running master, what it says of itself, and a session that asks it as its admin."""

    network: LiveNetwork
    document: dict[str, Any]
    session: requests.Session
    operations: dict[str, APIOperation[Any, Any, Any, Any]]

    def ask(self, method: str, target: str, **options: Any) -> tuple[int, str, bytes]:
        """Send one request and return status, media type and body. A feed is left as soon as it answers."""
        wanted = {"timeout": SLOW_SECONDS, "allow_redirects": False, "stream": True, **options}
        with self.session.request(method, self.network.url + target, **wanted) as response:
            kind = response.headers.get("Content-Type", "").partition(";")[0]
            return response.status_code, kind, b"" if kind == FEED else response.content

    def said(self, operation: str, status: int) -> set[str]:
        """Return the media types that the document gives for an answer; a problem for a status that it does not name."""
        method, path = operation.split(" ")
        responses = self.document["paths"][path][method.lower()]["responses"]
        return set(responses.get(str(status), responses["default"]).get("content", ()))

    def check(self, operation: str, status: int, kind: str, body: bytes) -> None:
        """Assert that an answer is as the document says."""
        assert status < 500, (operation, body)
        assert kind in (self.said(operation, status) or {""}), (operation, status, kind)
        if kind == PROBLEM:
            found = orjson.loads(body)
            validator_for(self.document["components"]["schemas"]["Problem"]).validate(found)
            assert found["status"] == status


@pytest.fixture(scope="module")
def described(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    with live(founded, tmp_path_factory.mktemp("described")) as network, requests.Session() as session:
        session.trust_env = False
        session.verify = str(network.ca_file)
        document = session.get(f"{network.url}/openapi.json", timeout=SLOW_SECONDS).json()
        session.headers["Authorization"] = f"Bearer {asyncio.run(network.access_token(scope=''))}"
        schema = schemathesis.openapi.from_dict(document)
        found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        yield Described(network, document, session, {f"{one.method.upper()} {one.path}": one for one in found})


def test_document_is_valid_and_names_every_operation(described: Described) -> None:
    schemathesis.openapi.from_dict(described.document).validate()
    assert described.document["openapi"] == "3.1.0"
    assert sorted(described.operations) == sorted(OPERATIONS)
    ids = [operation["operationId"] for path in described.document["paths"].values() for operation in path.values()]
    assert len(set(ids)) == len(ids) == len(OPERATIONS)


@pytest.mark.parametrize("target", ["/checkpoint", "/healthz", "/readyz", "/openapi.json", "/v1/crl", "/.well-known/jwks.json"])
def test_open_route_answers_as_it_says(described: Described, target: str) -> None:
    status, kind, body = described.ask("GET", target)
    assert status == 200
    described.check(f"GET {target}", status, kind, body)


@pytest.mark.parametrize(
    ("operation", "target"),
    [
        ("GET /tile/{path}", "/tile/0/000.p/1"),
        ("GET /tile/{path}", "/tile/entries/000.p/1"),
        ("GET /v1/entries", "/v1/entries?start=0&end=1"),
        ("GET /v1/watch", "/v1/watch?start=0"),
        ("GET /v1/policies", "/v1/policies?kind=member&limit=1"),
        ("GET /v1/policies/{id}", "/v1/policies/root"),
        ("GET /v1/policies/{id}/history", "/v1/policies/root/history"),
        ("GET /v1/roots/{n}", "/v1/roots/1"),
        ("GET /v1/status", "/v1/status"),
    ],
)
def test_route_answers_as_it_says(described: Described, operation: str, target: str) -> None:
    status, kind, body = described.ask("GET", target)
    assert status == 200, body
    described.check(operation, status, kind, body)
    without = requests.get(described.network.url + target, verify=described.session.verify, timeout=SLOW_SECONDS)
    asks = "security" in described.document["paths"][operation.partition(" ")[2]]["get"]
    assert without.status_code == (401 if asks else 200)


def test_checkpoint_that_is_known_answers_as_it_says(described: Described) -> None:
    first = described.session.get(described.network.url + "/checkpoint", timeout=SLOW_SECONDS)
    status, kind, body = described.ask("GET", "/checkpoint", headers={"If-None-Match": first.headers["ETag"]})
    assert status == 304
    described.check("GET /checkpoint", status, kind, body)


async def test_publishing_answers_as_it_says(described: Described) -> None:
    (one,) = await described.network.publish("described")
    assert one.index is not None
    status, kind, body = described.ask("GET", f"/v1/receipts/{one.digest}")
    assert status == 200
    described.check("GET /v1/receipts/{digest}", status, kind, body)
    entry = described.ask("GET", f"/v1/entries?start={one.index}&end={one.index + 1}")[2][2:]
    for sent, wanted in (("application/vnd.dsse.envelope.v1+json", 201), ("application/jsonl", 200)):
        status, kind, body = described.ask("POST", "/v1/entries", data=entry, headers={"Content-Type": sent})
        assert status == wanted, body
        described.check("POST /v1/entries", status, kind, body)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_other_methods_are_refused(described: Described, operation: str) -> None:
    method, path = operation.split(" ")
    other = "DELETE" if method == "GET" else "PATCH"
    status, kind, body = described.ask(other, path.replace("{", "").replace("}", ""))
    assert status == 405
    assert kind == PROBLEM
    assert orjson.loads(body)["code"] == "method-not-allowed"


@pytest.mark.timeout(2 * MOST_SECONDS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_case_of_a_route_breaks_it(described: Described, operation: str) -> None:
    """200 cases of a route: as the document allows, against it where it asks for anything, and with fields it does not know.

    None gives a 5xx, and each answer is as the document says.
    """
    wanted = described.operations[operation]
    begin = time.monotonic()
    modes = [mode for mode in schemathesis.GenerationMode if mode.is_positive or asks_anything(described, operation)]
    for mode in modes:

        @settings(PROFILE, max_examples=CASES // len(modes))
        @given(case=wanted.as_strategy(generation_mode=mode), unknown=UNKNOWN)
        def attack(case: Case[Any], unknown: str) -> None:
            sent = case.as_transport_kwargs(base_url=described.network.url)
            method, target = sent.pop("method"), sent.pop("url").removeprefix(described.network.url)
            headers = {**sent.pop("headers", {}), "Authorization": str(described.session.headers["Authorization"])}
            target += f"{'&' if '?' in target else '?'}{unknown}" if unknown else ""
            described.check(operation, *described.ask(method, target, headers=headers, **sent))

        attack()
    assert time.monotonic() - begin < MOST_SECONDS
    assert described.ask("GET", "/healthz")[0] == 200
