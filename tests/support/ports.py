"""Ports for servers that must be told one before they start."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack

LOWEST, SHARE, SHARES = 20_000, 1_500, 8  # below those that the kernel gives to outgoing connections, of which other tests make thousands


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has on any address of this machine, no two the same. Each worker of a test run takes from its own share."""
    first = LOWEST + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % SHARES * SHARE
    found: list[int] = []
    with ExitStack() as probes:
        for port in random.SystemRandom().sample(range(first, first + SHARE), SHARE // 10):
            if len(found) == count:
                return found
            probe = probes.enter_context(socket.socket())
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            found.append(port)
    raise AssertionError(f"no {count} free ports found")


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]
