"""Patterns of schemas, by RE2: linear in the text, bounded in memory, whatever somebody wrote into a schema.

Look-around and back-references do not exist there, and are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST = 256  # characters; matching costs at most this times the length of the text
MEMORY = 1 << 20  # bytes that a compiled pattern may take


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a text matches somewhere. Raises FormatError for a pattern that RE2 does not take."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types; most schemas have no pattern

    if len(pattern) > LONGEST:
        raise FormatError(f"a pattern has at most {LONGEST} characters")
    options = re2.Options()
    options.max_mem = MEMORY
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        raise FormatError(f"RE2 does not take the pattern {pattern!r}: {_reason(error)}") from error
    return lambda text: compiled.search(text) is not None


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
