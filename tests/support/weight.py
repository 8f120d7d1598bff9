"""What the core installation consists of, and what it weighs, by the metadata of the installed distributions."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator


def requirements(name: str) -> Iterator[str]:
    """Yield the canonical names of what distribution `name` needs here, without extras."""
    for text in distribution(name).requires or []:
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield canonicalize_name(requirement.name)


def closure(name: str) -> set[str]:
    """Return everything that an installation of `name` brings, `name` left out."""
    found: set[str] = set()
    waiting = list(requirements(name))
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        waiting.extend(requirements(one))
    return found


def size(name: str) -> int:
    """Return the bytes that a distribution's record lists, compiled Python left out."""
    return sum(file.size or 0 for file in distribution(name).files or [] if file.suffix != ".pyc")


def core_installation() -> dict[str, int]:
    """Return the distributions of the core installation and their bytes; empty where metaledger is not installed."""
    try:
        return {name: size(name) for name in sorted(closure("metaledger"))}
    except PackageNotFoundError:
        return {}
