"""The batch codecs against their vectors, by our reader and by one that knows nothing of the project."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blockchain_adapters.codec import decode, encode
from blockchain_adapters.dictionary import DICTIONARY
from ledger.core.errors import FormatError
from tests.conformance.unpack_batch import HoldsNoneError, unpack

HERE = Path(__file__).parent
VECTORS = HERE / "vectors" / "codec"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "batches.json").read_text())
FROZEN = "a89924c9540553cf42b4363a155ba8194e8c25dfec3c9dc1d38c8da1fb2aca42"


def held(case: dict[str, Any]) -> list[bytes] | None:
    return None if case["entries"] is None else [bytes.fromhex(one) for one in case["entries"]]


def test_the_dictionary_is_frozen() -> None:
    assert (VECTORS / "dictionary").read_bytes() == DICTIONARY
    assert hashlib.sha256(DICTIONARY).hexdigest() == FROZEN


def test_there_are_cases_of_each_kind() -> None:
    assert len(CASES) == len({one["name"] for one in CASES}) > 45
    assert sum(one["entries"] is not None for one in CASES) > 10


@pytest.mark.parametrize("case", CASES, ids=lambda one: str(one["name"]))
def test_both_readers_find_what_the_batch_holds(case: dict[str, Any]) -> None:
    batch, entries = bytes.fromhex(case["batch"]), held(case)
    if entries is None:
        with pytest.raises(FormatError):
            decode(batch)
        with pytest.raises(HoldsNoneError):
            unpack(batch, DICTIONARY)
        return
    assert decode(batch) == entries
    assert unpack(batch, DICTIONARY) == entries
    if entries:
        assert decode(encode(entries)) == entries


def test_the_independent_reader_is_a_program() -> None:
    case = next(one for one in CASES if one["name"] == "packed: entries of one shape")
    command = [sys.executable, "-I", str(HERE / "unpack_batch.py"), str(VECTORS / "dictionary")]
    done = subprocess.run(command, input=bytes.fromhex(case["batch"]), capture_output=True, check=True)
    assert done.stdout == b"".join(len(one).to_bytes(2) + one for one in held(case) or [])
    broken = subprocess.run(command, input=b"\x02", capture_output=True, check=False)
    assert (broken.returncode, broken.stdout) == (1, b"")
