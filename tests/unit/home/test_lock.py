from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import BusyError, UnavailableError
from ledger.home.lock import Holder, WriterLock, read_holder

if TYPE_CHECKING:
    from pathlib import Path

TAKE_AND_WAIT = """
import sys, pathlib
from ledger.home.lock import WriterLock
lock = WriterLock.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_take_twice_is_busy_and_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with WriterLock.take(path), pytest.raises(BusyError, match=f"process {os.getpid()}") as second:
        WriterLock.take(path)
    assert "stop it" in second.value.hint
    assert path.stat().st_mode & 0o777 == 0o600


def test_release_is_idempotent_and_frees(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = WriterLock.take(path)
    lock.release()
    lock.release()
    lock.announce("https://127.0.0.1:1")
    assert read_holder(path) is None
    WriterLock.take(path).release()


def test_announce_tells_others_where_the_agent_listens(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with WriterLock.take(path) as lock:
        lock.announce("https://127.0.0.1:8444")
        assert read_holder(path) == Holder(os.getpid(), "https://127.0.0.1:8444")


def test_take_waits_for_a_short_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = WriterLock.take(path)
    timer = threading.Timer(0.1, first.release)
    timer.start()
    WriterLock.take(path, wait_seconds=30).release()
    timer.join()


def test_a_killed_process_leaves_no_stale_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", TAKE_AND_WAIT, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(BusyError, match=f"process {child.pid}"):
            WriterLock.take(path)
        child.kill()
        child.wait(30)
        WriterLock.take(path).release()


def test_no_directory_or_a_link_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot open the lock file"):
        WriterLock.take(tmp_path / "absent" / "lock")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnavailableError, match="cannot open the lock file"):
        WriterLock.take(tmp_path / "link")


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b'{"pid":"1"}', b'{"pid":true}', b"[" * 5000])
def test_read_holder_ignores_what_it_cannot_read(tmp_path: Path, said: bytes) -> None:
    path = tmp_path / "lock"
    path.write_bytes(said)
    assert read_holder(path) is None
