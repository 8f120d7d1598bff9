"""The worked example of docs/formats.md: its commands are taken from the page, run as they stand, and make what we make."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.core.canonical import sha256_hex
from ledger.core.envelope import PAYLOAD_TYPE, Envelope, pae, parse_envelope, rebuild_envelope, sign
from ledger.core.keys import PrivateKey, PublicKey
from ledger.core.limits import LIMITS
from ledger.core.merkle import leaf_hash
from ledger.core.statement import Statement, derive_id

pytestmark = pytest.mark.openssl

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text()
EXAMPLE = PAGE.partition("## 12. ")[2]
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", EXAMPLE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory in which the page's commands ran."""
    folder = tmp_path_factory.mktemp("openssl")
    (folder / "example.sh").write_text("".join(COMMANDS))
    done = subprocess.run(["/bin/sh", "-eu", "example.sh"], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def envelope(work: Path) -> Envelope:
    return parse_envelope((work / "entry.json").read_bytes())


def test_page_still_has_the_example() -> None:
    assert len(COMMANDS) == 7
    assert all("openssl" in block or "printf" in block for block in COMMANDS)


def test_openssl_entry_is_the_entry_that_we_make(work: Path, envelope: Envelope) -> None:
    key = load_pem_private_key((work / "key.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    author = PrivateKey(key.private_bytes_raw())
    theirs = envelope.statement
    body = {"city": "Reykjavík", "icao": "BIRK", "loc": "64.13,-21.940599", "name": "Reykjavik Airport"}
    ours = Statement(theirs.ledger, "put", "site", derive_id("site", dict(body)), None, author.public.keyid, theirs.iat, dict(body))
    assert sign(ours, [author]).entry == envelope.entry


def test_openssl_signature_verifies_by_our_rule(work: Path, envelope: Envelope) -> None:
    ((keyid, signature),) = envelope.signatures
    public = PublicKey.parse((work / "key.txt").read_text().strip())
    assert keyid == public.keyid == envelope.statement.by
    assert (work / "pae").read_bytes() == pae(envelope.payload)
    assert public.verify(signature, pae(envelope.payload))
    assert not public.verify(signature, envelope.payload)
    assert (work / "verdict.txt").read_text().strip() == "Signature Verified Successfully"


def test_openssl_names_are_ours(work: Path, envelope: Envelope) -> None:
    statement = envelope.statement
    assert (work / "names.txt").read_text().split() == [statement.id, statement.digest]
    assert statement.digest == sha256_hex((work / "statement.json").read_bytes())
    assert (work / "leaf.txt").read_text().strip() == leaf_hash(envelope.entry).hex()
    assert rebuild_envelope(envelope.entry).entry == envelope.entry


def test_page_states_the_limits_that_the_code_has() -> None:
    """The numbers of sections 1 to 9 are those of `ledger.core.limits`."""
    assert f'SP {len(PAYLOAD_TYPE)} SP "{PAYLOAD_TYPE}"' in PAGE
    for sentence in (
        f"canonical JSON of at most {LIMITS.statement:,} bytes",
        f"canonical bytes are at most {LIMITS.body:,}",
        f"At most {LIMITS.entry:,} bytes; 1 to {LIMITS.signatures} signatures",
        f"a list of at most {LIMITS.set_size:,} different strings",
        f"nested at most {LIMITS.nesting} deep",
        f"C2SP signed note of at most {LIMITS.note // 1024} KiB",
        f"at most {LIMITS.inflated >> 20} MiB when inflated",
        f"1 to {LIMITS.batch_entries:,} entries",
        f"the last is over {LIMITS.mark_after_seconds} s old",
        f"more than {LIMITS.skew_seconds} s ahead",
    ):
        assert sentence in re.sub(r"\s+", " ", PAGE), sentence
