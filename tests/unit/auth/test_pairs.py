"""A certificate and its key are replaced together, whenever the power goes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from auth.pairs import replace_pair, settle_pair
from auth.pki import CertificateAuthority, CertificateRequest, encode_tls_key, load_chain, new_tls_key
from auth.tls import ServerIdentity
from ledger.core.errors import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
CA = CertificateAuthority.create("demo CA", NOW)


def pair(name: str) -> tuple[bytes, bytes]:
    key = new_tls_key()
    return CA.issue(CertificateRequest(name, ("127.0.0.1",), key.public_key()), NOW).chain, encode_tls_key(key)


def test_a_new_pair_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    replace_pair(certificate, key, *pair("one"))
    identity = ServerIdentity(certificate, key)
    new = pair("two")
    replace_pair(certificate, key, *new)
    assert (certificate.read_bytes(), key.read_bytes()) == new
    assert (certificate.stat().st_mode & 0o777, key.stat().st_mode & 0o777) == (0o644, 0o600)
    assert identity.reload_if_changed()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cert.pem", "key.pem"]


class CutError(Exception):
    """The power goes."""


@pytest.mark.parametrize("after", [0, 1])
def test_a_stop_between_the_moves_is_made_good_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    old, new = pair("one"), pair("two")
    replace_pair(certificate, key, *old)
    moves: list[str] = []
    rename = os.replace

    def cut(source: Path, target: Path) -> None:
        if source.suffix == ".next":
            if len(moves) == after:
                raise CutError
            moves.append(source.name)
        rename(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(type(certificate), "replace", cut)
        with pytest.raises(CutError):
            replace_pair(certificate, key, *new)
    ServerIdentity(certificate, key)  # serves with the one pair or the other, whole
    served = load_chain(certificate.read_bytes())[0]
    assert served == load_chain((new if after else old)[0])[0]


def test_nothing_waits_and_nothing_is_settled(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    settle_pair(certificate, key)
    replace_pair(certificate, key, *pair("one"))
    before = certificate.read_bytes()
    (tmp_path / "cert.pem.next").write_bytes(pair("other")[0])
    settle_pair(certificate, key)
    (tmp_path / "cert.pem.next").write_bytes(b"half")
    settle_pair(certificate, key)
    assert certificate.read_bytes() == before


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot write"):
        replace_pair(tmp_path / "no" / "cert.pem", tmp_path / "no" / "key.pem", *pair("one"))
