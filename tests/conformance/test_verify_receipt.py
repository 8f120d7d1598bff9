"""Receipts of ours against a script that shares no code with us; each thing it must refuse, it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.envelope import sign
from ledger.core.errors import SignatureError
from ledger.core.keys import PrivateKey
from ledger.core.merkle import Frontier, HashList, inclusion_proof, leaf_hashes
from ledger.core.note import CLOCK_KIND, LOG_KIND, Note, VerifierKey, clock_line, log_line, parse_note
from ledger.core.receipt import Receipt, parse_receipt, verify_receipt
from ledger.core.statement import Statement
from ledger.core.trustfile import policy_of_keys

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject

SCRIPT = Path(__file__).with_name("verify_receipt.py")
ORIGIN = "ledger.internal/demo/0123456789abcdef"
LOG, CLOCK, AUTHOR = (PrivateKey(bytes((number,)) * 32) for number in (1, 2, 3))
VKEY = VerifierKey(ORIGIN, LOG_KIND, LOG.public)
NETWORK = "ab" * 32
SIZE = 11
BODY: JSONObject = {"name": "Nordsee", "watts": 12}


def statement(number: int) -> Statement:
    keyid = AUTHOR.public.keyid
    return Statement(NETWORK, "put", "operator", f"operator-{number}", None, keyid, "2026-11-21T10:00:00Z", {**BODY, "number": number})


ENTRIES = [sign(statement(number), [AUTHOR]).entry for number in range(SIZE)]


def receipt(index: int) -> Receipt:
    frontier = Frontier()
    nodes = HashList([one for _, one in frontier.append_many(leaf_hashes(ENTRIES))])
    text = Checkpoint(ORIGIN, SIZE, frontier.root()).text
    note = Note(text, (clock_line(text, f"{ORIGIN}/clock", CLOCK, 1), log_line(text, ORIGIN, LOG)))
    return Receipt(index, inclusion_proof(index, SIZE, nodes), note.encode(), ENTRIES[index])


def run(folder: Path, raw: bytes, vkey: str, *more: str) -> subprocess.CompletedProcess[str]:
    path = folder / "one.tlog-proof"
    path.write_bytes(raw)
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(path), "--vkey", vkey, *more], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("index", [0, 7, 10])
def test_receipt_is_verified_by_the_script_and_by_us(tmp_path: Path, index: int) -> None:
    done = run(tmp_path, receipt(index).encode(), VKEY.text)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"index {index}\n{statement(index).payload.decode()}\n"
    tree = verify_receipt(parse_receipt(receipt(index).encode()), policy_of_keys([VKEY]))
    assert tree.checkpoint.size == SIZE


SPOILT = {
    "another entry": replace(receipt(7), entry=ENTRIES[6]).encode(),
    "another index": replace(receipt(7), index=6).encode(),
    "an index beyond the tree": replace(receipt(7), index=11).encode(),
    "a proof too short": replace(receipt(7), proof=receipt(7).proof[:-1]).encode(),
    "a proof too long": replace(receipt(7), proof=(*receipt(7).proof, bytes(32))).encode(),
    "a proof with another hash": replace(receipt(7), proof=(bytes(32), *receipt(7).proof[1:])).encode(),
    "another size": receipt(7).encode().replace(b"\n11\n", b"\n12\n"),
    "no line of the log": receipt(7).encode().replace(f"— {ORIGIN} ".encode(), f"— {ORIGIN}x ".encode()),
    "a bad second line of the log": receipt(7).encode() + replace(log_line("", ORIGIN, LOG), signature=bytes(64)).text.encode() + b"\n",
    "a text line more": receipt(7).encode().replace(b"\n11\n", b"\n11\nmore\n"),
    "no entry": b"\n".join(line for line in receipt(7).encode().split(b"\n") if not line.startswith(b"extra")),
    "nothing": b"",
    "no text": b"\xff\xfe",
}


def test_good_second_line_of_the_log_changes_nothing(tmp_path: Path) -> None:
    note = parse_note(receipt(7).note)
    twice = replace(receipt(7), note=note.with_lines(note.lines[1]).encode()).encode()
    assert run(tmp_path, twice, VKEY.text).returncode == 0
    assert verify_receipt(parse_receipt(twice), policy_of_keys([VKEY])).checkpoint.size == SIZE


def test_product_refuses_a_bad_second_line_as_the_script_does() -> None:
    with pytest.raises(SignatureError, match="is not a signature of this note"):
        verify_receipt(parse_receipt(SPOILT["a bad second line of the log"]), policy_of_keys([VKEY]))


@pytest.mark.parametrize("name", SPOILT)
def test_spoilt_receipt_is_refused(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, SPOILT[name], VKEY.text)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("not verified: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "vkey",
    [
        VerifierKey(ORIGIN, LOG_KIND, CLOCK.public).text,
        VerifierKey("other", LOG_KIND, LOG.public).text,
        VerifierKey(f"{ORIGIN}/clock", CLOCK_KIND, CLOCK.public).text,
        VKEY.text.replace("+", "+0", 1),
        "",
    ],
)
def test_other_keys_verify_nothing(tmp_path: Path, vkey: str) -> None:
    assert run(tmp_path, receipt(7).encode(), vkey).returncode == 1


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"operator": {**BODY, "number": 7}}, 0),
        ({"operator": {**BODY, "number": 7, "id": "operator-7", "date": "2026-11-21T10:00:00Z", "ledger": "global"}}, 0),
        ({"operator": {**BODY, "number": 8}}, 1),
        ({"operator": {**BODY, "number": 7, "more": True}}, 1),
        ({"operator": {**BODY, "number": 7, "id": "operator-8"}}, 1),
        ({"operator": {**BODY, "number": 7, "date": "2026-11-21T10:00:01Z"}}, 1),
        ({"cluster": {**BODY, "number": 7}}, 1),
        ({"operator": 7}, 1),
        ([], 1),
    ],
)
def test_policy_is_compared_by_kind_id_and_body(tmp_path: Path, policy: object, code: int) -> None:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps(policy))
    assert run(tmp_path, receipt(7).encode(), VKEY.text, "--policy", str(path)).returncode == code


def test_script_is_short_and_imports_nothing_of_ours() -> None:
    source = SCRIPT.read_text()
    assert len(source.splitlines()) <= 80
    imports = {line.split()[1].split(".")[0] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imports == {"argparse", "base64", "cryptography", "functools", "hashlib", "json", "pathlib", "re", "sys"}
