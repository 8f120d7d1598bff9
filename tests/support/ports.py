"""Ports for servers that must be told one before they start."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000  # below those that the kernel gives to outgoing connections, of which other tests make thousands


def free_port() -> int:
    """Return a port that nobody has on any address of this machine."""
    for port in random.SystemRandom().sample(range(LOWEST, HIGHEST), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port found")
