from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import pytest
from blockbuster import BlockingError
from hypothesis import settings

from ledger.home.files import read_text
from tests.conftest import SocketBlockedError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_unit_test_cannot_use_a_socket() -> None:
    with socket.socket() as one:
        for use in (lambda: one.connect(("127.0.0.1", 9)), lambda: one.bind(("127.0.0.1", 0)), lambda: one.sendto(b"", ("127.0.0.1", 9))):
            with pytest.raises(SocketBlockedError):
                use()
    with pytest.raises(SocketBlockedError):
        socket.create_connection(("localhost", 9))


async def test_an_event_loop_still_has_its_own_sockets() -> None:
    assert await asyncio.to_thread(lambda: 1) == 1


async def test_code_of_ours_that_blocks_the_loop_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    await asyncio.to_thread(path.write_text, "x")
    assert await asyncio.to_thread(read_text, path) == "x"
    with pytest.raises(BlockingError):
        read_text(path)


async def test_a_test_itself_may_block() -> None:
    time.sleep(0)  # noqa: ASYNC251 - what the test is about


def test_hypothesis_profiles_differ() -> None:
    assert settings.get_profile("ci").derandomize
    assert settings.get_profile("torture").max_examples >= 100 * settings.get_profile("default").max_examples
