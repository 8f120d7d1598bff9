from __future__ import annotations

import pytest

from ledger.query import parse_query
from ledger.query.sorting import sort_policies

VALUES: dict[str, object] = {
    "absent": ...,
    "ten": 10,
    "nine": 9.0,
    "text": "10",
    "yes": True,
    "no": False,
    "null": None,
    "list": [100, "x", 0],
    "object": {"a": 1},
    "again": 10,
    "lower": "a",
    "upper": "B",
}
POLICIES = [{"site": {"name": name, **({} if value is ... else {"v": value})}} for name, value in VALUES.items()]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("v", "list nine ten again text upper lower no yes absent null object"),
        ("[site][v] desc", "yes no list lower upper text ten again nine absent null object"),
        ("[*][name]", " ".join(sorted(VALUES))),
        ("absent", " ".join(VALUES)),
        ("v, name desc", "list nine ten again text upper lower no yes object null absent"),
    ],
)
def test_sorted(order: str, names: str) -> None:
    query = parse_query(f"all order by {order}")
    found = [str(policy["site"]["name"]) for policy in sort_policies(POLICIES, query.order, lambda policy: policy)]
    assert found == names.split()
