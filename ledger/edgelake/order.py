"""An order in which policies can be published: what others refer to comes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.state import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.edgelake.policies import Policy


def in_order(policies: Sequence[Policy]) -> list[Policy]:
    """Return the policies, each after those it refers to, else as they came. Linear; circles are cut somewhere.

    Every attribute that holds the id of another policy of the file is taken for a reference, whatever a schema says of it: an
    order that is too careful does no harm.
    """
    named = {policy.id: policy for policy in policies if policy.id is not None}
    ordered: list[Policy] = []
    met: set[int] = set()
    for policy in policies:
        if policy.number in met:
            continue
        met.add(policy.number)
        way = [(policy, _references(policy, named))]
        while way:
            last, references = way[-1]
            following = next((one for one in references if one.number not in met), None)
            if following is None:
                ordered.append(last)
                way.pop()
            else:
                met.add(following.number)
                way.append((following, _references(following, named)))
    return ordered


def _references(policy: Policy, named: dict[str, Policy]) -> Iterator[Policy]:
    for value in policy.body.values():
        for text in texts_of(value):
            if text in named:
                yield named[text]
