"""What `create network` publishes beside the root: permissions a newcomer can be given, and AnyLog's rules.

The permissions are documented in docs/security.md, the rules in docs/concepts.md. Both are ordinary
policies: a network changes them by publishing others.
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


def default_schemas() -> dict[str, dict[str, JSON]]:
    """Return the bodies of the default schemas, by policy id: AnyLog's uniqueness and references (FORMATS 7).

    What depends on more than equality (a child cluster shares its parent's name; tables inside a cluster)
    is left to authors and admission.
    """
    unique: dict[str, list[JSON]] = {
        "operator": [["name"], ["ip", "port"], ["cluster", "member"]],
        "cluster": [],
        "table": [["dbms", "name"]],
        "bucket": [["name"]],
        "license": [["activation_key"]],
        "tag": [["dbms", "table"]],
        "uns": [["namespace"], ["dbms", "table", "name"]],
    }
    refs: dict[str, list[JSON]] = {
        "operator": [{"attr": "cluster", "kind": "cluster", "drop": "refuse"}],
        "cluster": [{"attr": "parent", "kind": "cluster", "drop": "refuse"}],
        "uns": [{"attr": "parent", "kind": "uns", "drop": "refuse"}],
    }
    return {f"schema.{kind}": {"kind": kind, "unique": sets, "refs": refs.get(kind, [])} for kind, sets in unique.items()}
