from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError, UsageError
from ledger.home.files import create_file, read_secret, read_text, require_private, unwritable, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_write_file_is_private_whole_and_leaves_no_scratch(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_file(path, b"one")
    write_file(path, b"two")
    assert (read_text(path), path.stat().st_mode & 0o777) == ("two", 0o600)
    assert list(tmp_path.iterdir()) == [path]
    require_private(path)


def test_created_file_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "a"
    create_file(path, b"one")
    with pytest.raises(ConflictError, match="exists already"):
        create_file(path, b"two")
    assert (read_text(path), list(tmp_path.iterdir())) == ("one", [path])


def test_missing_directory_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot write"):
        write_file(tmp_path / "absent" / "a", b"")


def test_what_cannot_be_written_says_what_helps(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as absent:
        write_file(tmp_path / "absent" / "a", b"")
    assert "Make the directory" in absent.value.hint
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError) as inside:
        create_file(tmp_path / "file" / "a", b"")
    assert "in a directory" in inside.value.hint
    hints = {code: unwritable(tmp_path, OSError(code, "no")).hint for code in (errno.ENOSPC, errno.EROFS, errno.EACCES)}
    assert "Free some space" in hints[errno.ENOSPC]
    assert "mount it for writing" in hints[errno.EROFS]
    assert "Let this user write" in hints[errno.EACCES]


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
    with pytest.raises(UsageError, match=f"{mode:04o}"):
        require_private(path)


def test_require_private_refuses_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir(mode=0o700)
    with pytest.raises(UsageError, match="no regular file"):
        require_private(directory)
    with pytest.raises(NotFoundError):
        require_private(tmp_path / "absent")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_mode_does_not_depend_on_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        create_file(tmp_path / "a", b"x")
        create_file(tmp_path / "b", b"x", mode=0o644)
        write_file(tmp_path / "a", b"y")
    finally:
        os.umask(before)
    assert (mode(tmp_path / "a"), mode(tmp_path / "b")) == (0o600, 0o644)
    assert (tmp_path / "a").read_bytes() == b"y"


def test_directory_that_is_missing_or_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "none" / "a", tmp_path / "file" / "a"):
        with pytest.raises(UnavailableError):
            create_file(place, b"x")
    (tmp_path / "directory").mkdir()
    with pytest.raises(UnavailableError):
        write_file(tmp_path / "directory", b"x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["directory", "file"]


def test_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="No space"):
        create_file(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())


def test_failed_link_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(UnavailableError, match="not permitted"):
        create_file(tmp_path / "a", b"x")
    assert not list(tmp_path.iterdir())


def test_secret_file_rule(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "passphrase"
    path.write_bytes(b"correct horse\r\n")
    path.chmod(0o600)
    assert read_secret(path, warnings.append) == b"correct horse"
    assert not warnings
    for shared in (0o640, 0o644, 0o440, 0o660):
        warnings.clear()
        path.chmod(shared)
        assert read_secret(path, warnings.append) == b"correct horse"
        assert len(warnings) == 1
        assert "correct horse" not in warnings[0]
    for writable in (0o602, 0o666, 0o622):
        path.chmod(writable)
        with pytest.raises(UsageError, match="everybody"):
            read_secret(path, warnings.append)


def test_secret_keeps_all_but_the_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_bytes(b" a \n\n")
    assert read_secret(path, pytest.fail) == b" a \n"
