"""Fixtures of this tier."""

from tests.support.live import founded, live_master, live_network, own_network

__all__ = ["founded", "live_master", "live_network", "own_network"]
