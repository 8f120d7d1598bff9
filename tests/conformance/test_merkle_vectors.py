"""The tree against vectors that other code made: RFC 6962's definitions (vectors/rfc6962), and the shared set where it lies."""

from __future__ import annotations

import base64
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from ledger.core.errors import ProofError
from ledger.core.merkle import (
    Frontier,
    HashList,
    consistency_proof,
    inclusion_proof,
    leaf_hashes,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

HERE = Path(__file__).parent
OURS = HERE / "vectors" / "rfc6962"
SHARED = HERE.parents[1].parent / "shared" / "vectors" / "merkle"
SHARED_COUNT = 196


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (OURS / f"{name}.jsonl").read_text().splitlines()]


def leaves() -> list[bytes]:
    lines = (OURS / "leaves.jsonl").read_text().splitlines()
    return leaf_hashes([bytes.fromhex(json.loads(line)) for line in lines])


def stored_tree() -> HashList:
    return HashList([one for _, one in Frontier().append_many(leaves())])


def unhex(values: list[str]) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, values))


def includes(row: dict[str, Any]) -> bool:
    leaf, root = unhex([row["leaf"], row["root"]])
    try:
        verify_inclusion(leaf, row["index"], row["size"], unhex(row["proof"]), root)
    except ProofError:
        return False
    return True


def extends(row: dict[str, Any]) -> bool:
    old_root, new_root = unhex([row["old_root"], row["new_root"]])
    try:
        verify_consistency(row["old"], row["new"], (old_root, new_root), unhex(row["proof"]))
    except ProofError:
        return False
    return True


def test_roots_of_every_size_are_those_of_the_definition() -> None:
    tree = stored_tree()
    table = rows("roots")
    assert len(table) == 34
    for row in table:
        frontier = Frontier()
        frontier.append_many(leaves()[: row["size"]])
        assert frontier.root().hex() == tree_root(row["size"], tree).hex() == row["root"]


def test_inclusion_vectors_are_judged_and_rebuilt() -> None:
    table, tree = rows("inclusion"), stored_tree()
    assert sum(row["good"] for row in table) == 96
    assert [row for row in table if includes(row) != row["good"]] == []
    good = [row for row in table if row["good"]]
    assert [row for row in good if inclusion_proof(row["index"], row["size"], tree) != unhex(row["proof"])] == []


def test_consistency_vectors_are_judged_and_rebuilt() -> None:
    table, tree = rows("consistency"), stored_tree()
    assert sum(row["good"] for row in table) == 96
    assert [row for row in table if extends(row) != row["good"]] == []
    good = [row for row in table if row["good"]]
    assert [row for row in good if consistency_proof(row["old"], row["new"], tree) != unhex(row["proof"])] == []


def test_committed_vectors_are_what_the_script_writes(tmp_path: Path) -> None:
    runpy.run_path(str(HERE / "make_rfc6962.py"))["main"](tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in OURS.iterdir()}


def unbase64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def is_refused(vector: dict[str, Any]) -> bool:
    proof = [unbase64(one) for one in vector["proof"] or []]
    try:
        if "leafIdx" in vector:
            leaf, root = unbase64(vector["leafHash"]), unbase64(vector["root"])
            verify_inclusion(leaf, vector["leafIdx"], vector["treeSize"], proof, root)
        else:
            roots = (unbase64(vector["root1"]), unbase64(vector["root2"]))
            verify_consistency(vector["size1"], vector["size2"], roots, proof)
    except ProofError:
        return True
    return False


@pytest.mark.shared_vectors
def test_shared_vectors_are_judged_as_they_say() -> None:
    vectors = {str(path.relative_to(SHARED)): json.loads(path.read_text()) for path in SHARED.rglob("*.json")}
    assert len(vectors) == SHARED_COUNT
    assert [name for name, vector in vectors.items() if is_refused(vector) != vector["wantErr"]] == []
