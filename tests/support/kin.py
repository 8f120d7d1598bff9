"""Policies in a list, looked up as a ledger looks them up: what hierarchies and second queries are tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.query.hierarchy import relative_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from ledger.query.hierarchy import Policy, Relative


class ListedKin:
    """`Kin` over a list, counting the look-ups."""

    def __init__(self, policies: list[Policy]) -> None:
        self.policies = sorted(map(relative_of, policies), key=lambda one: one.id)
        self.asked = 0

    def of_ids(self, ids: Collection[str]) -> list[Relative]:
        self.asked += 1
        return [one for one in self.policies if one.id in ids]

    def below(self, ids: Collection[str]) -> list[Relative]:
        self.asked += 1
        return [one for one in self.policies if any(up in ids for up in one.parents)]

    def with_parent(self) -> list[Relative]:
        self.asked += 1
        return [one for one in self.policies if one.parents]


def policy_id(policy: Policy) -> str:
    """Return the id of a policy, or of the first policy of a row."""
    return relative_of(policy).id


def uns(one: str, *parents: str, kind: str = "uns") -> Policy:
    """Return a policy of this id below others: `parent` is text for one of them, a list for several."""
    if not parents:
        return {kind: {"id": one, "name": one.upper()}}
    return {kind: {"id": one, "name": one.upper(), "parent": parents[0] if len(parents) == 1 else list(parents)}}
