"""The acceptance rule of FORMATS 2 against its vectors, with every library that may compute the equation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.core import ed25519
from ledger.core.ed25519_frozen import FROZEN
from ledger.core.keys import PublicKey

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "ed25519.json").read_bytes())
COUNT = 52


def raw(row: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    return bytes.fromhex(row["key"]), bytes.fromhex(row["signature"]), bytes.fromhex(row["message"])


def test_vectors_are_all_here() -> None:
    assert len(VECTORS) == COUNT
    assert {row["valid"] for row in VECTORS} == {True, False}


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
@pytest.mark.parametrize("library", ed25519.LIBRARIES, ids=lambda library: library.name)
def test_verdict_agrees_with_each_library(library: ed25519.Library, row: dict[str, Any]) -> None:
    assert ed25519.accepts(library, *raw(row)) is row["valid"]


@pytest.mark.parametrize("row", VECTORS, ids=lambda row: row["name"])
def test_key_verifies_as_the_vectors_say(row: dict[str, Any]) -> None:
    key, signature, message = raw(row)
    assert PublicKey(key).verify(signature, message) is row["valid"]


def test_vectors_in_the_program_are_rows_of_the_file() -> None:
    rows = {(row["key"], row["message"], row["signature"], row["valid"]) for row in VECTORS}
    assert set(FROZEN) <= rows
    assert {valid for *_, valid in FROZEN} == {True, False}
