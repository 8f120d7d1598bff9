"""What `create network` publishes beside the root and the standard schemas (`ledger.kinds`): permissions a newcomer can be given.

They are documented in docs/security.md, and ordinary policies: a network changes them by publishing others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.core.canonical import JSON

EVERY_OP = ("put", "patch", "drop")
MEMBER_TYPES = ("node", "user", "service", "admin")
FRESH_FOR_SECONDS = 300
STALE_AFTER_SECONDS = 86_400
STATE_EVERY = 65_536


def permissions_id(name: str) -> str:
    """Return the policy id of the default permissions of that name."""
    return f"permissions.{name}"


def default_permissions() -> dict[str, dict[str, JSON]]:
    """Return the bodies of the default permissions, by policy id.

    `node` and `user` write policies of their own, `service` only reads, `admin` writes any policy and
    looks after members, invites and assignments within these four.
    """
    own: list[JSON] = [{"ops": [*EVERY_OP], "kinds": ["*"], "scope": {"own": True}}]
    everything: list[JSON] = [
        {"ops": [*EVERY_OP], "kinds": ["*"], "scope": {}},
        {"ops": [*EVERY_OP], "kinds": ["assignment", "invite", "member"], "scope": {}},
    ]
    allow: dict[str, list[JSON]] = {"node": own, "user": own, "service": [], "admin": everything}
    grant: list[JSON] = [permissions_id(name) for name in MEMBER_TYPES]
    return {permissions_id(name): {"name": name, "allow": allow[name], "grant": grant if name == "admin" else []} for name in MEMBER_TYPES}
