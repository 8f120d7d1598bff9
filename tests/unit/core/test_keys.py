"""Keys: their text, their name, and what they never show."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import Any

import pytest

from ledger.core import ed25519, keys
from ledger.core.errors import CryptoLibraryError, FormatError
from ledger.core.keys import PrivateKey, PublicKey, is_key, is_key_set, keyid_of, library_name, self_test, verify_signature

SEED = bytes(range(32))
KEY = PrivateKey(SEED)
TEXT = KEY.public.text
LIBSODIUM, OPENSSL = ed25519.LIBRARIES


def test_text_and_keyid_are_of_the_raw_bytes() -> None:
    raw = KEY.public.raw
    assert "ed25519:" + base64.b64encode(raw).decode() == TEXT
    assert KEY.public.keyid == hashlib.sha256(raw).hexdigest() == keyid_of(TEXT)
    assert PublicKey.parse(TEXT) == KEY.public


def spare_bits(text: str) -> str:
    """Return the key with the two bits set that base64 of 32 bytes leaves over."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:-2] + alphabet[alphabet.index(text[-2]) | 1] + "="


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT + "\n",
        TEXT[:-1],
        TEXT.upper(),
        TEXT[8:],
        "ed25519:" + "!" * 44,
        "ed25519:" + "A" * 44,
        "ed25519:" + "A" * 41 + "===",
        "ed25519:" + "A" * 42 + "==",
        "ed25519:" + "\u0661" * 44,
        spare_bits(TEXT),
        TEXT.replace("ed25519", "ED25519"),
        None,
        1,
        [TEXT],
    ],
)
def test_parse_another_form_is_refused(text: Any) -> None:
    assert not is_key(text)
    with pytest.raises(FormatError, match="base64 of 32 bytes"):
        PublicKey.parse(text)


def test_key_set_is_a_set_of_keys() -> None:
    assert is_key_set([TEXT])
    assert not is_key_set([TEXT, TEXT])
    assert not is_key_set(["a"])


@pytest.mark.parametrize("count", [0, 31, 33])
def test_keys_of_another_length_are_refused(count: int) -> None:
    with pytest.raises(FormatError):
        PublicKey(bytes(count))
    with pytest.raises(FormatError):
        PrivateKey(bytes(count))


def test_signature_verifies_over_its_message_only() -> None:
    signature = KEY.sign(b"message")
    assert verify_signature(KEY.public, signature, b"message")
    assert not KEY.public.verify(signature, b"other")
    assert not PrivateKey(bytes(32)).public.verify(signature, b"message")
    assert not KEY.public.verify(signature[:-1], b"message")
    assert not KEY.public.verify(b"", b"message")


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_libraries_sign_the_same_bytes(count: int) -> None:
    message = b"m" * count
    assert LIBSODIUM.signer(SEED)(message) == OPENSSL.signer(SEED)(message)
    assert LIBSODIUM.public(SEED) == OPENSSL.public(SEED)


def test_nothing_shows_the_seed() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}", f"{[KEY]}"):
        assert repr(SEED)[2:-1] not in text
        assert SEED.hex() not in text
        assert "seed" not in text


def test_self_test_passes_with_the_library_in_use() -> None:
    self_test()
    assert library_name() == "libsodium"


def accept_all(*_: bytes) -> bool:
    return True


def refuse_all(*_: bytes) -> bool:
    return False


@pytest.mark.parametrize(
    "broken",
    [
        replace(LIBSODIUM, equation=accept_all),
        replace(LIBSODIUM, equation=refuse_all),
        replace(LIBSODIUM, signer=lambda _seed: lambda _message: bytes(64)),
        replace(LIBSODIUM, public=lambda _seed: bytes(32)),
    ],
)
def test_library_that_breaks_the_rule_is_passed_over(broken: ed25519.Library) -> None:
    assert not ed25519.passes(broken)
    assert ed25519.choose([broken, OPENSSL]) is OPENSSL


def test_without_a_library_every_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = ed25519.choose([])
    monkeypatch.setattr(keys, "_LIBRARY", nothing)
    with pytest.raises(CryptoLibraryError):
        self_test()
    with pytest.raises(CryptoLibraryError):
        PrivateKey(SEED)
    with pytest.raises(CryptoLibraryError):
        KEY.public.verify(KEY_SIGNATURE, b"message")


def test_self_test_refuses_a_library_that_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_LIBRARY", replace(LIBSODIUM, equation=accept_all))
    with pytest.raises(CryptoLibraryError, match="libsodium does not follow"):
        self_test()


KEY_SIGNATURE = KEY.sign(b"message")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_rule_refuses_a_key_of_another_length(length: int) -> None:
    assert not ed25519.accepts(LIBSODIUM, bytes(length), KEY_SIGNATURE, b"message")
