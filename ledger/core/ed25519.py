"""The Ed25519 acceptance rule (FORMATS 2): our checks of A, R and S around a library's equation.

Libraries differ in what they accept at the edges: OpenSSL takes A of small order, one branch of libsodium takes R
with torsion. So a library is used only if the frozen vectors below pass with it. `LIBRARIES` is the order of choice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from ledger.core.ed25519_frozen import FROZEN, SIGNING
from ledger.core.errors import CryptoLibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN_BIT: Final = 0x80
_HIGHEST: Final = 0x7F
_LOWEST_OVER: Final = 0xED  # p = 2^255 - 19 begins with this byte, and is all ones above it

# Every spelling with a canonical y of the eight points of small order; y = 1 and y = -1 have x = 0, so that their
# spellings with a sign bit are not canonical, and refused by the same table.
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(y[:62] + last)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
    for last in (f"{int(y[62:], 16):02x}", f"{int(y[62:], 16) | _SIGN_BIT:02x}")
)


@dataclass(frozen=True, slots=True)
class Library:
    """Somebody's Ed25519. `equation(key, signature, message)` gets 32 and 64 bytes and raises nothing.

    `signer(seed)` derives once what signing needs and returns what signs a message with it.
    """

    name: str
    equation: Callable[[bytes, bytes, bytes], bool]
    public: Callable[[bytes], bytes]
    signer: Callable[[bytes], Callable[[bytes], bytes]]


def accepts(library: Library, key: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether the signature is valid by FORMATS 2, the equation being `library`'s."""
    if len(signature) != SIGNATURE_BYTES or len(key) != KEY_BYTES:
        return False
    point = signature[:KEY_BYTES]
    if not _is_proper(key) or not _is_proper(point):
        return False
    if int.from_bytes(signature[KEY_BYTES:], "little") >= _ORDER:
        return False
    return library.equation(key, signature, message)


def _is_proper(point: bytes) -> bool:
    """Tell whether an encoding has y < p and is of no point of small order."""
    if point in _SMALL_ORDER:
        return False
    return point[0] < _LOWEST_OVER or (point[31] & _HIGHEST) != _HIGHEST or point[1:31] != b"\xff" * 30


def _nacl_equation(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True


def _nacl_public(seed: bytes) -> bytes:
    return crypto_sign_seed_keypair(seed)[0]


def _nacl_signer(seed: bytes) -> Callable[[bytes], bytes]:
    secret = crypto_sign_seed_keypair(seed)[1]
    return lambda message: crypto_sign(message, secret)[:SIGNATURE_BYTES]


def _openssl_equation(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _openssl_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _openssl_signer(seed: bytes) -> Callable[[bytes], bytes]:
    return Ed25519PrivateKey.from_private_bytes(seed).sign


LIBRARIES: Final = (
    Library("libsodium", _nacl_equation, _nacl_public, _nacl_signer),
    Library("openssl", _openssl_equation, _openssl_public, _openssl_signer),
)


def passes(library: Library) -> bool:
    """Tell whether the frozen vectors pass with this library."""
    seed, key, signature = map(bytes.fromhex, SIGNING)
    if library.public(seed) != key or library.signer(seed)(b"") != signature:
        return False
    return all(
        accepts(library, bytes.fromhex(public), bytes.fromhex(signed), bytes.fromhex(message)) is valid
        for public, message, signed, valid in FROZEN
    )


def choose(libraries: Sequence[Library]) -> Library:
    """Return the first library that passes, else one that refuses every call with CryptoLibraryError."""
    return next(filter(passes, libraries), _NONE)


def _refuse(*_: bytes) -> NoReturn:
    raise CryptoLibraryError("no Ed25519 library here follows the acceptance rule")


_NONE: Final = Library("none", _refuse, _refuse, _refuse)
