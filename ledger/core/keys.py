"""Ed25519 keys (FORMATS 1 and 2): `ed25519:` + base64 of 32 bytes, named by keyid, the SHA-256 of those bytes."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeGuard

from ledger.core import ed25519
from ledger.core.canonical import JSON, is_text_set, sha256_hex
from ledger.core.errors import CryptoLibraryError, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX: Final = "ed25519:"
_TEXT_CHARACTERS: Final = len(PREFIX) + 44
_LIBRARY: Final = ed25519.choose(ed25519.LIBRARIES)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """32 bytes that claim to be a public key; whether they are a point shows when a signature is checked."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != ed25519.KEY_BYTES:
            raise FormatError("a public key has 32 bytes")

    @classmethod
    def parse(cls, text: JSON) -> PublicKey:
        """Return the key of `ed25519:<base64>`. Raises FormatError."""
        raw = _raw(text)
        if raw is None:
            raise FormatError("a key is `ed25519:` and the base64 of 32 bytes")
        return cls(raw)

    @property
    def text(self) -> str:
        """Return the key as it stands in policies."""
        return PREFIX + binascii.b2a_base64(self.raw, newline=False).decode()

    @property
    def keyid(self) -> str:
        """Return H(raw bytes)."""
        return sha256_hex(self.raw)

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is valid by FORMATS 2."""
        return ed25519.accepts(_LIBRARY, self.raw, signature, message)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A `ports.Signer` that holds the 32 bytes of the seed. Neither repr nor str shows them."""

    seed: bytes = field(repr=False)
    public: PublicKey = field(init=False, compare=False)
    _sign: Callable[[bytes], bytes] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.seed) != ed25519.KEY_BYTES:
            raise FormatError("a private key has 32 bytes")
        object.__setattr__(self, "public", PublicKey(_LIBRARY.public(self.seed)))
        object.__setattr__(self, "_sign", _LIBRARY.signer(self.seed))

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._sign(message)


def is_key(value: JSON) -> TypeGuard[str]:
    """Tell whether the value is a key of the form of FORMATS 1."""
    return _raw(value) is not None


def is_key_set(value: JSON) -> TypeGuard[list[JSON]]:
    """Tell whether the value is a set of keys."""
    return is_text_set(value) and all(map(is_key, value))


def keyid_of(text: JSON) -> str:
    """Return the keyid of a key's text. Raises FormatError."""
    return PublicKey.parse(text).keyid


def verify_signature(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Tell whether the signature is valid; what the fold uses unless told otherwise."""
    return key.verify(signature, message)


def self_test() -> None:
    """Check the library in use against the frozen vectors. Raises CryptoLibraryError; every start calls it."""
    if not ed25519.passes(_LIBRARY):
        raise CryptoLibraryError(f"{_LIBRARY.name} does not follow the acceptance rule of FORMATS 2")


def library_name() -> str:
    """Return the name of the library in use, for `status`."""
    return _LIBRARY.name


def _raw(text: JSON) -> bytes | None:
    if not isinstance(text, str) or len(text) != _TEXT_CHARACTERS or not text.startswith(PREFIX) or not text.isascii():
        return None
    encoded = text[len(PREFIX) :].encode()
    try:
        raw = binascii.a2b_base64(encoded)
    except binascii.Error:
        return None
    if len(raw) != ed25519.KEY_BYTES or binascii.b2a_base64(raw, newline=False) != encoded:
        return None
    return raw
