"""Policies in a list, looked up as a ledger looks them up: what hierarchies and second queries are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.query.hierarchy import content_of, parents_of, policy_id

if TYPE_CHECKING:
    from collections.abc import Collection

    from ledger.query.hierarchy import Policy


class ListedKin:
    """`Kin` over a list, counting the look-ups."""

    def __init__(self, policies: list[Policy]) -> None:
        self.policies = sorted(policies, key=policy_id)
        self.asked = 0

    def of_ids(self, ids: Collection[str]) -> list[Policy]:
        self.asked += 1
        return [policy for policy in self.policies if policy_id(policy) in ids]

    def below(self, ids: Collection[str]) -> list[Policy]:
        self.asked += 1
        return [policy for policy in self.policies if any(up in ids for up in parents_of(policy))]

    def with_parent(self) -> list[Policy]:
        self.asked += 1
        return [policy for policy in self.policies if "parent" in content_of(policy)]


def uns(one: str, *parents: str, kind: str = "uns") -> Policy:
    """Return a policy of this id below others: `parent` is text for one of them, a list for several."""
    if not parents:
        return {kind: {"id": one, "name": one.upper()}}
    return {kind: {"id": one, "name": one.upper(), "parent": parents[0] if len(parents) == 1 else list(parents)}}
