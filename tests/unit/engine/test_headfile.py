"""`head.json`: what it says comes back as it was written, and a file of another form is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import CorruptError, UnavailableError
from ledger.engine.headfile import HeadFile, LeftHead

if TYPE_CHECKING:
    from pathlib import Path


def test_head_file_round_trip_and_refusals(tmp_path: Path) -> None:
    file = HeadFile(tmp_path / "head.json")
    assert file.read() is None
    file.write(LeftHead(5, b"\x01" * 32))
    assert file.read() == LeftHead(5, b"\x01" * 32)
    assert file.path.stat().st_mode & 0o777 == 0o600
    for text in (
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"size":1}',
        b'{"size":true,"root":"' + b"0" * 64 + b'"}',
        b'{"size":1,"root":"zz"}',
        b"[" * 500,
    ):
        file.path.write_bytes(text)
        with pytest.raises(CorruptError):
            file.read()
    with pytest.raises(UnavailableError):
        HeadFile(tmp_path / "nowhere" / "head.json").write(LeftHead(0, b""))
