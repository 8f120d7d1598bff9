from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import NotFoundError, TooLargeError, UnavailableError, UsageError
from ledger.home.files import read_text, require_private, sharing, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_write_file_is_private_whole_and_leaves_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, b"one")
    write_file(path, b"two")
    assert (read_text(path), path.stat().st_mode & 0o777) == ("two", 0o600)
    assert list(tmp_path.iterdir()) == [path]
    require_private(path)
    assert sharing(path) is None


def test_write_file_refuses_to_replace_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, b"one", replace=False)
    with pytest.raises(UsageError, match="is there already"):
        write_file(path, b"two", replace=False)
    assert (read_text(path), list(tmp_path.iterdir())) == ("one", [path])


def test_missing_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot write"):
        write_file(tmp_path / "absent" / "a", b"")


def test_read_text_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(NotFoundError, match="no file"):
        read_text(path)
    with pytest.raises(UnavailableError, match="cannot read"):
        read_text(tmp_path)
    write_file(path, b"\xff")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_text(path)
    with pytest.raises(TooLargeError, match="larger than 0 bytes"):
        read_text(path, limit=0)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o010])
def test_require_private_refuses_any_right_of_others(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a"
    write_file(path, b"")
    path.chmod(mode)
    with pytest.raises(UsageError, match="mode 0600"):
        require_private(path)


def test_require_private_refuses_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir(mode=0o700)
    with pytest.raises(UsageError, match="plain file"):
        require_private(directory)
    with pytest.raises(NotFoundError):
        require_private(tmp_path / "absent")


def test_sharing_warns_of_readers_and_refuses_writers(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, b"")
    path.chmod(0o640)
    assert "can be read by others" in (sharing(path) or "")
    path.chmod(0o602)
    with pytest.raises(UsageError, match="anyone can write"):
        sharing(path)
