"""The worked example of docs/formats.md: its commands are taken from the page, run as they stand, and make what we make."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ledger.core.canonical import JSONObject, sha256_hex
from ledger.core.envelope import PAYLOAD_TYPE, Envelope, pae, parse_envelope, rebuild_envelope, sign
from ledger.core.fold import Void, judge
from ledger.core.keys import PrivateKey, PublicKey
from ledger.core.limits import LIMITS
from ledger.core.merkle import leaf_hash
from ledger.core.state import Accepted, DictState
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


def test_openssl_entry_is_in_force_where_its_key_may_write(work: Path, envelope: Envelope, tmp_path: Path) -> None:
    """The page's network does not exist, so one is made around the key, and the page's commands run again for it, elsewhere."""
    work = shutil.copytree(work, tmp_path / "again")
    author = PublicKey.parse((work / "key.txt").read_text().strip())
    network, state = network_with(author, work / "key.pem")
    script = re.sub(r"^network=.*$", f"network={network}", "".join(COMMANDS), flags=re.MULTILINE)
    (work / "again.sh").write_text(script.replace("openssl genpkey -algorithm ed25519 -out key.pem\n", ""))
    subprocess.run(["/bin/sh", "-eu", "again.sh"], cwd=work, timeout=30, check=True)
    accepted = judge(state, (work / "entry.json").read_bytes(), 3)
    assert isinstance(accepted, Accepted), accepted
    assert [(record.kind, record.id, record.live) for record in accepted.records] == [("site", envelope.statement.id, True)]
    assert isinstance(judge(state, envelope, 3), Void)  # that one was made for another network


def network_with(author: PublicKey, key_file: Path) -> tuple[str, DictState]:
    """Return the id and the state of a network in which `author` may put sites."""
    admin = PrivateKey(hashlib.sha256(b"admin").digest())
    key = load_pem_private_key(key_file.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    iat = "2026-11-22T12:00:00Z"
    first = Statement("", "put", "root", "root", None, "root", iat, root_body(admin))
    allow: JSONObject = {"name": "sites", "allow": [{"ops": ["put"], "kinds": ["site"], "scope": {}}], "grant": []}
    member: JSONObject = {"name": "author", "type": "user", "key": author.text, "permissions": ["sites"]}
    state = DictState()
    for index, (statement, signers) in enumerate(
        [
            (first, [admin]),
            (Statement(first.digest, "put", "permissions", "sites", None, "root", iat, allow), [admin]),
            (Statement(first.digest, "put", "member", "author", None, "root", iat, member), [admin, PrivateKey(key.private_bytes_raw())]),
        ]
    ):
        verdict = judge(state, sign(statement, signers), index)
        assert isinstance(verdict, Accepted), verdict
        state.apply(verdict)
    return first.digest, state


def root_body(admin: PrivateKey) -> JSONObject:
    """Return a root with every member that docs/formats.md lists in its table, and no other."""
    root: JSONObject = {
        "name": "example",
        "origin": "ledger.internal/example/0123456789abcdef",
        "version": 1,
        "fold": 1,
        "order": {"type": "log"},
        "admins": [{"name": "admin", "key": admin.public.text}],
        "threshold": 1,
        "authority_threshold": 1,
        "log_keys": [],
        "clock_keys": [],
        "witnesses": [],
        "mark_keys": [],
        "quorum": 0,
        "fresh_for": 300,
        "stale_after": 86_400,
        "state_every": 65_536,
        "expires": None,
    }
    table = PAGE.partition("### Root\n")[2].partition("###")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(root)
    return root


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
