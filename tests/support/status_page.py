"""What `docs/http-api.md` says of the fields of `GET /v1/status`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).resolve().parents[2] / "docs" / "http-api.md"
ROW = re.compile(r"^\| ((?:`\w+` ?)+) \| (both|master|node) \|", re.MULTILINE)


def explained(role: str) -> set[str]:
    """Return the fields that the page explains for servers of this role."""
    section = PAGE.read_text().partition("\n## Status")[2].partition("\n## ")[0]
    return {name for names, of in ROW.findall(section) if of in ("both", role) for name in re.findall(r"\w+", names)}


def differing(status: Mapping[str, object]) -> set[str]:
    """Return the fields that a server shows and the page does not explain, or the other way round."""
    return status.keys() ^ explained(str(status["role"]))
