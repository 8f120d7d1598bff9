"""Key files: made whole and private, never over another, refused when others may touch them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.keystore import KeyStore, decode_key, encode_key, generate_key
from auth.pki import encode_tls_key, new_tls_key
from ledger.core.errors import ConflictError, FormatError, NotFoundError, UsageError
from ledger.home.files import create_file, read_private_file
from tests.support.identities import key_of

if TYPE_CHECKING:
    from pathlib import Path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_generated_keys_differ() -> None:
    assert generate_key() != generate_key()


def test_created_key_is_private_and_loads_again(tmp_path: Path) -> None:
    store = KeyStore(tmp_path / "keys")
    key = store.create("member")
    assert store.load("member") == key
    assert mode(store.path("member")) == 0o600
    assert mode(tmp_path / "keys") == 0o700
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["member.pem"]
    assert store.names() == ["member"]
    assert store.has("member")
    assert not store.has("admin")


def test_key_is_never_overwritten(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    key = store.create("member")
    with pytest.raises(ConflictError):
        store.create("member")
    assert store.load("member") == key
    assert len(list(tmp_path.iterdir())) == 1


def test_create_does_not_follow_a_link_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "member.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConflictError):
        KeyStore(tmp_path).create("member")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("wide", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o620, 0o602, 0o777])
def test_wider_modes_are_refused(tmp_path: Path, wide: int) -> None:
    store = KeyStore(tmp_path)
    store.create("member")
    store.path("member").chmod(wide)
    with pytest.raises(UsageError, match=f"{wide:04o}") as caught:
        store.load("member")
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize("narrow", [0o600, 0o400, 0o700])
def test_private_modes_are_taken(tmp_path: Path, narrow: int) -> None:
    store = KeyStore(tmp_path)
    key = store.create("member")
    store.path("member").chmod(narrow)
    assert store.load("member") == key


def test_missing_and_odd_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        KeyStore(tmp_path).load("member")
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "big").touch(0o600)
    (tmp_path / "big").write_bytes(b"x" * 65_537)
    for name in ("fifo", "loop", "big", "."):
        with pytest.raises(UsageError):
            read_private_file(tmp_path / name)


@pytest.mark.parametrize("name", ["", "../member", "a/b", "Member", ".hidden", "a\n", "x" * 64])
def test_names_of_keys_do_not_leave_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        KeyStore(tmp_path).path(name)


def test_passphrase_encrypts(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, b"correct horse")
    key = store.create("admin")
    pem = store.path("admin").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    assert store.load("admin") == key
    for wrong in (b"battery staple", b"correct horse\n", None):
        with pytest.raises(UsageError, match="passphrase"):
            KeyStore(tmp_path, wrong).load("admin")


def test_plain_key_loads_in_a_store_with_passphrase(tmp_path: Path) -> None:
    key = KeyStore(tmp_path).create("member")
    assert KeyStore(tmp_path, b"correct horse").load("member") == key


def test_empty_passphrase_is_refused() -> None:
    with pytest.raises(UsageError):
        encode_key(key_of("a"), b"")


def test_encrypted_key_costs_scrypt() -> None:
    pem = encode_key(key_of("a"), b"correct horse")
    assert encode_key(key_of("a"), b"correct horse") != pem
    private = serialization.load_pem_private_key(pem, b"correct horse")
    assert isinstance(private, Ed25519PrivateKey)
    assert private.private_bytes_raw() == key_of("a").seed


@pytest.mark.openssl
@pytest.mark.parametrize("passphrase", [None, b"correct horse"])
def test_openssl_reads_our_key_files(tmp_path: Path, passphrase: bytes | None) -> None:
    path = tmp_path / "key.pem"
    create_file(path, encode_key(key_of("a"), passphrase))
    command = [shutil.which("openssl") or "", "pkey", "-in", str(path), "-pubout", "-outform", "DER", "-passin", "stdin"]
    out = subprocess.run(command, input=passphrase or b"\n", capture_output=True, check=True).stdout
    assert out.endswith(key_of("a").public.raw)


def test_other_keys_and_junk_are_format_errors(tmp_path: Path) -> None:
    other = encode_tls_key(new_tls_key())
    public = key_of("a").public.raw
    for junk in (b"", b"\x00" * 100, public, other, encode_key(key_of("a"))[:-40], b"-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(FormatError):
            decode_key(junk)
    store = KeyStore(tmp_path)
    create_file(store.path("member"), other)
    with pytest.raises(FormatError, match=r"member\.pem"):
        store.load("member")
    encrypted_ec = new_tls_key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    with pytest.raises(FormatError):
        decode_key(encrypted_ec, b"pw")
    assert isinstance(new_tls_key(), ec.EllipticCurvePrivateKey)


def test_promote_keeps_the_old_key(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    old, new = store.create("member"), store.create("member.next")
    store.promote("member.next", "member")
    assert store.load("member") == new
    kept = f"member.{old.public.keyid[:16]}"
    assert store.names() == sorted(["member", kept])
    assert store.load(kept) == old
    assert mode(store.path(kept)) == 0o600
    with pytest.raises(NotFoundError):
        store.promote("member.next", "member")
    assert store.load("member") == new


def test_promote_goes_on_after_a_crash_in_between(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    old, new = store.create("member"), store.create("member.next")
    os.link(store.path("member"), store.path(f"member.{old.public.keyid[:16]}"))
    store.promote("member.next", "member")
    assert store.load("member") == new


def test_promote_without_an_old_key(tmp_path: Path) -> None:
    store = KeyStore(tmp_path)
    new = store.create("next")
    store.promote("next", "member")
    assert store.load("member") == new
