"""Logs of a service: one JSON object a line, an event name and fields, never a sentence with a secret in it.

Nothing here is told headers, tokens or bodies. As a second fence every line passes `scrub`, which blanks what
looks like a token, a join token or a private key, whoever wrote it (a library's traceback, for one).
The standard `logging` of libraries is led into the same stream by `StandardLogging`.
"""

from __future__ import annotations

import logging
import re
import traceback
from datetime import UTC, datetime
from types import NoneType
from typing import TYPE_CHECKING, BinaryIO

import orjson

from ledger.core.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.ports import Clock

LEVELS = ("debug", "info", "warning", "error")
LINE_BYTES = 16 * 1024
TRACE_CHARACTERS = 8_000
PLAIN = (str, int, float, NoneType)
LONGEST_BITS = 63
SECRET = re.compile(
    rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"  # a JWT
    rb"|metaledger-join-1\.[A-Za-z0-9_-]+"
    rb"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)


def scrub(line: bytes) -> bytes:
    """Return `line` with everything that looks like a secret blanked."""
    return SECRET.sub(b"[secret]", line)


class EventLog:
    """Writes events as JSON lines to one stream; also a `ledger.core.ports.Observer`."""

    def __init__(self, stream: BinaryIO, clock: Clock, *, level: str = "info") -> None:
        self._stream = stream
        self._clock = clock
        self._floor = LEVELS.index(level)

    def event(self, name: str, /, **facts: object) -> None:
        """Record that `name` happened, as an `info` line."""
        self.write("info", name, **facts)

    def write(self, level: str, event: str, /, **fields: object) -> None:
        """Write one line unless `level` is below the log's. A stream that cannot be written to is not our caller's trouble.

        Nor is a field that takes the name of one of the line's own, which are kept, or one that cannot be written, since it is nested too
        deep or holds what is no character: some of what is logged was sent by others.
        """
        if LEVELS.index(level) < self._floor:
            return
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        own: dict[str, object] = {"time": stamp, "level": level, "event": event}
        try:
            line = _dumped(own | fields | own)
        except orjson.JSONEncodeError:
            line = _dumped(own | {name: _plain(value) for name, value in fields.items() if isinstance(value, PLAIN)} | own)
        if len(line) > LINE_BYTES:
            line = orjson.dumps({**own, "cut": line[: LINE_BYTES // 4].decode("utf-8", "replace")})
        try:
            self._stream.write(scrub(line) + b"\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    def failure(self, event: str, error: BaseException, /, **fields: object) -> None:
        """Write an `error` line for an exception: its code when it is ours, its traceback when it is not."""
        own: dict[str, object] = {"code": "internal", "error": type(error).__name__}
        if isinstance(error, LedgerError):
            own = {"code": error.code, "error": error.message}
        else:
            own["trace"] = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
        self.write("error", event, **(own | fields | own))


def _plain(value: str | float | None) -> str | float | None:
    """Return a value that can be written whatever it is: text may hold what is no character, as paths do, a number may be too long."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    return str(value) if isinstance(value, int) and value.bit_length() > LONGEST_BITS else value


def _dumped(line: Mapping[str, object]) -> bytes:
    return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS)


class StandardLogging(logging.Handler):
    """Leads the standard library's log records into an `EventLog`."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(level=logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as a line named `library`."""
        level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        fields: dict[str, object] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["trace"] = "".join(traceback.format_exception(record.exc_info[1]))[-TRACE_CHARACTERS:]
        self._log.write(level, "library", **fields)
