"""Addresses: how they read, and where this machine itself reaches them."""

from __future__ import annotations

import pytest

from ledger.http.server import Address


@pytest.mark.parametrize(
    ("listen", "local"),
    [
        (Address("0.0.0.0", 8443), "127.0.0.1:8443"),
        (Address("::", 8443), "[::1]:8443"),
        (Address("127.0.0.1", 1), "127.0.0.1:1"),
        (Address("192.0.2.7", 1), "192.0.2.7:1"),
        (Address("localhost", 1), "localhost:1"),
    ],
)
def test_an_address_of_all_interfaces_is_reached_on_loopback(listen: Address, local: str) -> None:
    assert str(listen.local) == local
