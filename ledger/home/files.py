"""Small files of a home: written whole or not at all, private unless said otherwise."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from ledger.core.errors import NotFoundError, TooLargeError, UnavailableError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = 0o600
TEXT_LIMIT = 1024 * 1024


def write_file(path: Path, content: bytes, *, mode: int = PRIVATE, replace: bool = True) -> None:
    """Write `content` to `path` with `mode`: durable when it returns, and never seen half written.

    Raises `UsageError` when the file is there and `replace` is false, `UnavailableError` when the system refuses.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _place(scratch, path, replace=replace)
        finally:
            with contextlib.suppress(FileNotFoundError):
                scratch.unlink()
        sync_directory(path.parent)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", advice="Name another file, or move this one away.") from error
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error


def _place(scratch: Path, path: Path, *, replace: bool) -> None:
    if replace:
        scratch.replace(path)
    else:
        os.link(scratch, path)  # unlike rename, this fails when the name is taken


def sync_directory(path: Path) -> None:
    """Make the names in directory `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: Path, *, limit: int = TEXT_LIMIT) -> str:
    """Return the UTF-8 text of `path`.

    Raises `NotFoundError`, `TooLargeError` above `limit` bytes, `UsageError` when it is not UTF-8, and
    `UnavailableError` when the system refuses.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > limit:
        raise TooLargeError(f"{path} is larger than {limit} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def require_private(path: Path) -> None:
    """Raise `UsageError` unless `path` is a plain file that nobody but its owner can read or write."""
    mode = _mode(path)
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise UsageError(f"{path} must be a plain file of mode 0600, not {stat.filemode(mode)}", advice=f"chmod 600 {path}")


def sharing(path: Path) -> str | None:
    """Return a warning when others than its owner can read `path`, else None; `UsageError` when anyone can write it."""
    mode = _mode(path)
    if mode & 0o002:
        raise UsageError(f"anyone can write {path}", advice=f"chmod o-w {path}, and change what was in it")
    return f"{path} can be read by others than its owner" if mode & 0o044 else None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error
