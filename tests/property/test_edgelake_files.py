"""Any bytes: a file of theirs is read to its end, and each fault has a line of the file."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.canonical import encode, load
from ledger.edgelake import policy_line, read_ledger_file

PIECES = st.sampled_from(
    [
        b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"'", b"''", b"(", b")", b";", b"\n", b" ", b"1", b"\xff", b"\xef\xbb\xbf",
        b"INSERT INTO x ",
        b"VALUES", b"(policy)", b'"id"', b'"a"', b'{"site": {"id": "a"}}', b'{"anmp": {"a": {"n": 1}}}', b'{"deleted": {"id": "a"}}',
        b"INSERT INTO x (policy) VALUES ('", b"');\n", b'{"member": {"id": "a"}}',
    ]
)  # fmt: skip
FILES = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e15, 1e15) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(NAMES.filter(lambda name: name not in {"id", "ledger"}), VALUES, max_size=5)


@given(FILES)
def test_any_bytes_are_read_and_everything_is_counted(content: bytes) -> None:
    file = read_ledger_file(content)
    kept = len(file.policies) + sum(map(len, file.changes.values())) + len(file.deletions)
    assert file.read == kept + len(file.left)
    last = content.count(b"\n") + 1
    assert all(1 <= one.line <= last for one in file.left)
    assert all(1 <= one.line <= last for one in file.policies.values())


@given(st.lists(BODIES, max_size=4), st.sampled_from(["lines", "array", "sql"]))
def test_what_is_written_is_read_back_in_every_form(bodies: list[dict[str, object]], form: str) -> None:
    written = [policy_line("site", {**body, "id": f"s{place}"}).strip() for place, body in enumerate(bodies)]  # type: ignore[dict-item] # JSON by making
    content = {
        "lines": b"\n".join(written),
        "array": b"[" + b",\n".join(written) + b"]",
        "sql": b"\n".join(b"INSERT INTO ledger (policy) VALUES ('" + one.replace(b"'", b"''") + b"');" for one in written),
    }[form]
    file = read_ledger_file(content)
    assert file.left == []
    assert [encode(policy.body) for policy in file.policies.values()] == [_canonical(body) for body in bodies]


def _canonical(body: dict[str, object]) -> bytes:
    return encode(load(json.dumps(body)))
