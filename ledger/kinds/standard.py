"""The kinds that `create network` publishes schemas for: AnyLog's, as their users know them.

Each is the body of a `schema` policy in `schemas/KIND.json`, ready to be published. A network changes them by publishing others.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from ledger.core.canonical import load

if TYPE_CHECKING:
    from ledger.core.canonical import JSON

STANDARD_KINDS = (
    "operator", "cluster", "table", "mapping", "transform", "config", "schedule", "license", "bucket", "tag", "uns",
    "master", "query", "publisher", "relay", "site", "device",
)  # fmt: skip


def standard_schemas() -> dict[str, dict[str, JSON]]:
    """Return the bodies of the standard schemas, by policy id, in the order of `STANDARD_KINDS`."""
    folder = files("ledger.kinds") / "schemas"
    found: dict[str, dict[str, JSON]] = {}
    for kind in STANDARD_KINDS:
        body = load((folder / f"{kind}.json").read_bytes())
        found[f"schema.{kind}"] = body if isinstance(body, dict) else {}
    return found
