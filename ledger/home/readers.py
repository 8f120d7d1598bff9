"""Readers of single settings: a value from a flag, the environment or config.toml in, a typed one out.

Each takes text (environment, files) or what TOML or click already typed, and raises `ValueError` with
what it expects; `ledger.home.settings` adds the name of the setting and where the value came from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reader = Callable[[object], object]

SECONDS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(ms|[smhdw])?", re.ASCII)
YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})
PORTS = 65_535
LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)


def read_text(value: object) -> str:
    """Read text of one line, not empty."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("one line of text")
    return value


def read_bool(value: object) -> bool:
    """Read yes or no."""
    if isinstance(value, bool):
        return value
    word = value.lower() if isinstance(value, str) else ""
    if word not in YES | NO:
        raise ValueError("true or false")
    return word in YES


def read_count(value: object) -> int:
    """Read a whole number, zero or more."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value, re.ASCII):
        return int(value)
    if type(value) is not int or value < 0:
        raise ValueError("a whole number, 0 or more")
    return value


def read_seconds(value: object) -> float:
    """Read a duration: seconds as a number, or text such as 500ms, 30s, 15m, 1h, 90d, 2w."""
    if type(value) in (int, float) and 0 <= float(str(value)) < float("inf"):
        return float(str(value))
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("a duration such as 30s, 15m, 1h or 90d")
    return float(found[1]) * SECONDS[found[2] or "s"]


def read_texts(value: object) -> tuple[str, ...]:
    """Read a list of texts; in one text they stand apart by commas."""
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise ValueError("a list of texts, with commas between them")  # noqa: TRY004 - every reader raises one kind of error
    return tuple(map(read_text, parts))


def read_listen(value: object) -> str:
    """Read HOST:PORT."""
    found = LISTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > PORTS:
        raise ValueError("HOST:PORT, such as 127.0.0.1:8443")
    return found[0]


def choice_of(*choices: str) -> Reader:
    """Return a reader of one of `choices`."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return value

    return read
