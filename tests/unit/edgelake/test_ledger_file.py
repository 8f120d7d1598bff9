"""What a file says: policies, changes, deletions, and what is left out with its line."""

from __future__ import annotations

import json

import pytest

from ledger.core.canonical import AUTHORITY_KINDS
from ledger.core.errors import TooLargeError
from ledger.core.limits import LIMITS
from ledger.edgelake import in_order, read_ledger_file, their_kind
from ledger.edgelake.policies import our_kind, policy_line


def lines(*policies: object) -> bytes:
    """Return the policies, one a line."""
    return "\n".join(json.dumps(policy) for policy in policies).encode()


def test_policy_id_and_ledger_are_no_part_of_the_body_and_the_date_is() -> None:
    file = read_ledger_file(lines({"site": {"id": "oslo", "date": "2024-01-01T00:00:00.5Z", "ledger": "global", "n": 1}}))
    (policy,) = file.policies.values()
    assert (policy.line, policy.kind, policy.id, policy.body) == (1, "site", "oslo", {"date": "2024-01-01T00:00:00.5Z", "n": 1})
    assert (file.read, file.left) == (1, [])


@pytest.mark.parametrize("kind", [*sorted(AUTHORITY_KINDS), "Member", "PERMISSIONS"])
def test_kind_of_authority_stands_under_another_name_and_goes_back(kind: str) -> None:
    (policy,) = read_ledger_file(lines({kind: {"id": "x"}})).policies.values()
    assert policy.kind == our_kind(kind) == f"anylog-{kind}"
    assert their_kind(policy.kind) == kind


def test_kind_of_authority_of_ours_does_not_go_out() -> None:
    assert [their_kind(kind) for kind in sorted(AUTHORITY_KINDS)] == [None] * len(AUTHORITY_KINDS)
    assert [their_kind(kind) for kind in ("site", "anylog-x", "anylog-")] == ["site", "anylog-x", "anylog-"]


def test_changes_are_in_the_order_of_their_dates() -> None:
    changes = [{"anmp": {"oslo": {"n": n}, "id": f"c{n}", "date": f"2024-01-0{n}"}} for n in (3, 1, 2)]
    file = read_ledger_file(lines(*changes, {"anmp": {"oslo": {"n": 9}, "bergen": {"n": 9}}}))
    assert [change.attributes["n"] for change in file.changes["oslo"]] == [9, 1, 2, 3]
    assert [change.line for change in file.changes["oslo"]] == [4, 2, 3, 1]
    assert file.read == 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "not JSON"),
        (b'{"site": {"id": "K\xf6ln"}}', "not UTF-8 at byte 19"),
        (b"[]", "the list"),
        (b"7", "no object"),
        (b"{}", "0 root keys; a policy has one, its kind"),
        (b'{"a": {}, "b": {}}', "2 root keys; a policy has one, its kind"),
        (b'{"site": 7}', '"site" holds no object'),
        (b'{"my site": {}}', '"my site" is no kind'),
        (b'{"site": {"id": "a b"}}', '"a b" is no id'),
        (b'{"site": {"id": 7}}', "7 is no id"),
        (b'{"site": {"n": 1, "n": 2}}', "a name stands twice"),
        (b'{"site": {"n": 1e300}}', "2^53-1"),
        (b'{"site": {"n": "\\u0000"}}', "U+0000"),
        (b'{"site": {"n": "\\ud800"}}', "not JSON"),
        (b'{"site": {"n": ' + b"[" * 40 + b"]" * 40 + b"}}", "nested more than"),
        (b'{"site": {"n": "' + b"x" * LIMITS.body + b'"}}', "a body of"),
        (b'{"site": {"n": "' + b"x" * 5 * LIMITS.statement + b'"}}', "bytes; a policy has at most"),
        (b'{"anmp": {"date": "2024"}}', "it names no policy to change"),
        (b'{"anmp": {"oslo": 7}}', "what it changes is no object"),
        (b'{"anmp": {"oslo": {"id": "x"}}}', "it changes id or ledger"),
        (b'{"anmp": {"a b": {"n": 1}}}', '"a b" is no id'),
        (b'{"deleted": {}}', "it names no policy that is gone"),
        (b'{"deleted": {"id": null}}', "null is no id"),
    ],
)
def test_what_is_wrong_is_left_out_with_its_line_and_the_rest_is_read(text: bytes, reason: str) -> None:
    file = read_ledger_file(lines({"site": {"id": "a"}}) + b"\n" + text + b"\n" + lines({"site": {"id": "b"}}))
    (left,) = file.left
    assert reason in left.reason or reason == "the list"
    assert (left.line, left.code, sorted(file.policies), file.read) == (2, "format", ["a", "b"], 3)


def test_duplicates_are_left_out_and_name_the_first_line() -> None:
    content = lines(
        {"site": {"id": "a", "n": 1}}, {"site": {"n": 1, "id": "a"}}, {"site": {"id": "a", "n": 2}}, {"device": {"id": "a", "n": 1}},
        {"deleted": {"id": "x"}}, {"deleted": {"id": "x"}}, {"anmp": {"a": {"n": 3}}}, {"anmp": {"a": {"n": 3}}},
    )  # fmt: skip
    file = read_ledger_file(content)
    assert [(left.line, left.reason) for left in file.left] == [
        (2, "the id stands on line 1 already, with the same content"),
        (3, "the id stands on line 1 already, with another content"),
        (4, "the id stands on line 1 already, with another content"),
        (6, "line 5 says that already"),
        (8, "the same change stands in the file already"),
    ]
    assert (file.read, file.policies["a"].body) == (8, {"n": 1})


def test_a_file_above_the_limit_is_refused_whole() -> None:
    with pytest.raises(TooLargeError, match="more than"):
        read_ledger_file(b" " * (LIMITS.ledger_file + 1))


def test_order_what_is_referred_to_comes_first_and_circles_end() -> None:
    content = lines(
        {"operator": {"id": "o", "cluster": "c"}}, {"mapping": {"id": "m", "import": ["m1", "m2"]}}, {"site": {"id": "s"}},
        {"cluster": {"id": "c", "parent": "p"}},
        {"mapping": {"id": "m1", "import": "m"}}, {"cluster": {"id": "p"}}, {"mapping": {"id": "m2"}},
    )  # fmt: skip
    ordered = [policy.id for policy in in_order(list(read_ledger_file(content).policies.values()))]
    assert ordered == ["p", "c", "o", "m1", "m2", "m", "s"]


def test_order_a_long_chain_needs_no_recursion() -> None:
    policies = [{"uns": {"id": f"n{number}", "parent": f"n{number + 1}"}} for number in range(5_000)]
    ordered = in_order(list(read_ledger_file(lines(*policies)).policies.values()))
    assert [policy.id for policy in ordered] == [f"n{number}" for number in range(4_999, -1, -1)]


def test_policy_line_is_ascii_in_one_line() -> None:
    assert policy_line("site", {"name": "Köln\n東京"}) == b'{"site": {"name": "K\\u00f6ln\\n\\u6771\\u4eac"}}\n'
