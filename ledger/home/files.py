"""Small files of a home: written whole or not at all, private unless said otherwise, read with the mode they have.

A file is written beside its place, synced, then moved or linked there: a crash leaves the old file, or none, or the whole
new one. Its mode is exactly the one asked for, whatever the umask. Nothing here puts a content into an error.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING

from ledger.core.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PRIVATE = 0o600
TEXT_LIMIT = 1024 * 1024
SECRET_LIMIT = 64 * 1024  # bytes; a key has 120, a certificate chain some thousand
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def unwritable(path: Path, error: OSError, *, what: str = "cannot write") -> UnavailableError:
    """Return the error for a file that the system does not let us write, with what to do about it."""
    advice = {
        errno.ENOSPC: "Free some space, then try again.",
        errno.EDQUOT: "Free some space, or raise the quota; then try again.",
        errno.EFBIG: "Raise the limit on the size of files, then try again.",
        errno.EROFS: "Nothing can be written there: mount it for writing, or name another place.",
        errno.EACCES: "Let this user write there, or name another place.",
        errno.EPERM: "Let this user write there, or name another place.",
        errno.ENOENT: "Make the directory first, or name another place.",
        errno.ENOTDIR: "Name a place in a directory.",
    }
    return UnavailableError(f"{what} {path}: {error.strerror}", advice=advice.get(error.errno or 0))


def create_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a new file, durable when this returns. ConflictError if `path` exists, UnavailableError when the system refuses."""
    draft = _draft(path, content, mode)
    try:
        os.link(draft, path, follow_symlinks=False)  # unlike rename, this fails when the name is taken
    except FileExistsError as error:
        raise ConflictError(f"{path} exists already; it is not overwritten.", advice="Move it away first, or use it.") from error
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)


def write_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file in the place of the one of that name, if any; durable when this returns. UnavailableError when the system refuses."""
    draft = _draft(path, content, mode)
    try:
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    sync_directory(path.parent)


def _draft(path: Path, content: bytes, mode: int) -> Path:
    """Write `content` beside `path` under a name of its own."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    return draft


def sync_directory(path: Path) -> None:
    """Make the names in directory `path` durable. UnavailableError when the system refuses."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(f"cannot sync {path}: {error.strerror}") from error


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
        raise UnavailableError(f"cannot read {path}: {error.strerror}", advice="Check the path, and who may read it.") from error
    if len(content) > limit:
        raise TooLargeError(f"{path} is larger than {limit} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error


def read_private_file(path: Path) -> bytes:
    """Return the content of a private file of a home.

    Raises NotFoundError without one, UsageError if anybody but the owner may touch it or it is no regular file.
    """
    content, mode = _read(path)
    _require_private(path, mode)
    return content


def require_private(path: Path) -> None:
    """Raise as `read_private_file` does, for a file that is read elsewhere."""
    _require_private(path, _read(path)[1])


def _require_private(path: Path, mode: int) -> None:
    if mode & OTHERS:
        raise UsageError(
            f"{path} has mode {mode:04o}; a private file of a home is open to its owner only.",
            advice=f"Look who could read it; then: chmod 600 {path}",
        )


def read_secret(path: Path, warn: Callable[[str], None]) -> bytes:
    """Return the content of a file that a `…_FILE` setting or an `@FILE` argument names, without its last newline.

    It may be readable by others (`warn` is told), as mounted secrets are; one that everybody may write raises UsageError.
    """
    content, mode = _read(path)
    if mode & stat.S_IWOTH:
        raise UsageError(f"{path} has mode {mode:04o}: everybody may write it.", advice=f"chmod o-w {path}, and change what was in it")
    if mode & OTHERS:
        warn(f"{path} has mode {mode:04o}: others than its owner may read it")
    return content.removesuffix(b"\n").removesuffix(b"\r")


def _read(path: Path) -> tuple[bytes, int]:
    """Return content and permission bits, both of the one file that was opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {path}.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no regular file.")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(SECRET_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > SECRET_LIMIT:
        raise UsageError(f"{path} is larger than {SECRET_LIMIT} bytes; that is no secret.")
    return content, stat.S_IMODE(status.st_mode)
