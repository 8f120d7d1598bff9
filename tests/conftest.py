"""What every test shares: tiers, no sockets where none belong, no blocked event loop, Hypothesis profiles."""

from __future__ import annotations

import inspect
import os
import socket
import sys
from typing import TYPE_CHECKING, Never

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings

from tests.support.tiers import (
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    tiers_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
]

PACKAGES = ["ledger", "master", "auth", "blockchain_adapters"]
NO_SOCKETS = {"unit", "property"}
SOCKET_CALLS = ("connect", "connect_ex", "bind", "sendto", "sendmsg")

# A shared machine is slow at times: a bound on time is a test of its own, not Hypothesis's deadline.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, print_blob=True)
settings.register_profile("torture", settings.get_profile("default"), max_examples=10_000, stateful_step_count=200)
settings.load_profile("ci" if os.environ.get("CI") else "default")


class SocketBlockedError(AssertionError):
    """A test of a tier without sockets used one."""


RECURSION_LIMIT = sys.getrecursionlimit()


def pytest_collection_finish() -> None:
    """Give the interpreter its limit back: web3, which only tests import, raises it until hostile JSON overflows the C stack."""
    sys.setrecursionlimit(RECURSION_LIMIT)


@pytest.fixture(autouse=True)
def no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if NO_SOCKETS.isdisjoint(tiers_of(request.node)):
        return

    def refuse(*_: object, **__: object) -> Never:
        raise SocketBlockedError("unit and property tests use no sockets: this one belongs to tests/functional")

    for name in SOCKET_CALLS:
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def no_blocked_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test when code of ours blocks its event loop."""
    if not inspect.iscoroutinefunction(getattr(request, "function", None)):
        yield
        return
    with blockbuster_ctx(PACKAGES):
        yield
