"""No secret in what people and logs get to see: repr, str, format, errors and their tracebacks."""

from __future__ import annotations

import base64
import io
import traceback
from typing import TYPE_CHECKING

import pytest

from auth.assertions import AssertionVerifier, make_assertion
from auth.join import PREFIX, JoinToken, parse_join_token, read_join_token
from auth.keystore import KeyStore, decode_key, encode_key
from auth.pki import CertificateAuthority, decode_tls_key, encode_tls_key, new_tls_key
from auth.principal import READ, Principal
from auth.tls import ServerIdentity
from auth.tokens import TokenIssuer, TokenVerifier
from auth.used import UsedSlots
from ledger.core.errors import LedgerError
from ledger.core.keys import PrivateKey
from ledger.home.files import create_file
from tests.support.identities import NOW, SITE, FrozenClock, Members

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SEED = b"canary-canary-canary-canary-0123"
PASSPHRASE = b"canary passphrase"
KEY = PrivateKey(SEED)
SPELLINGS = (
    SEED.decode(),
    SEED.hex(),
    base64.b64encode(SEED).decode(),
    base64.urlsafe_b64encode(SEED).decode().rstrip("="),
    PASSPHRASE.decode(),
)


def assert_silent(*shown: object) -> None:
    for thing in shown:
        for text in (repr(thing), str(thing), f"{thing}"):
            assert not [secret for secret in SPELLINGS if secret in text]


def shown_by(fails: Callable[[], object]) -> str:
    """Return all that a log would get of the error: message, advice, context, traceback."""
    with pytest.raises(LedgerError) as caught:
        fails()
    error = caught.value
    return "\n".join([repr(error), error.message, error.hint, repr(error.context), *traceback.format_exception(error)])


def test_objects_do_not_show_their_secrets(tmp_path: Path) -> None:
    clock, members = FrozenClock(), Members()
    token = JoinToken("ab" * 32, "https://host:1", None, KEY, "2026-11-21T10:00:00Z")
    used = UsedSlots(clock)
    assert_silent(
        KEY,
        token,
        KeyStore(tmp_path, PASSPHRASE),
        TokenIssuer(SITE, KEY, clock),
        TokenVerifier(SITE, [KEY.public], members, clock),
        AssertionVerifier(SITE, members, used, clock),
        used,
        members.add("bob", key=KEY),
    )
    ca = CertificateAuthority.create("edge CA", NOW)
    assert repr(ca) == f"CertificateAuthority({ca.fingerprint})"


def test_key_errors_are_silent(tmp_path: Path) -> None:
    store = KeyStore(tmp_path, PASSPHRASE)
    store.store("admin", KEY)
    text = shown_by(lambda: store.store("admin", KEY))
    text += shown_by(lambda: KeyStore(tmp_path, b"other").load("admin"))
    text += shown_by(lambda: KeyStore(tmp_path).load("admin"))
    plain = encode_key(KEY)
    text += shown_by(lambda: decode_key(plain.replace(b"PRIVATE", b"PRIVATF")))
    create_file(tmp_path / "wide.pem", plain, mode=0o644)
    text += shown_by(lambda: KeyStore(tmp_path).load("wide"))
    body = plain.decode().splitlines()[1]
    assert body not in text
    assert_silent(text)


def test_join_token_errors_are_silent(tmp_path: Path) -> None:
    line = JoinToken("ab" * 32, "https://host:1", None, KEY, "2026-11-21T10:00:00Z").encode()
    bad = tmp_path / "token"
    create_file(bad, line[:-3].encode())
    shown = shown_by(lambda: parse_join_token(line[:-3]))
    shown += shown_by(lambda: parse_join_token(line + "\n" + line))
    shown += shown_by(lambda: read_join_token(f"@{bad}", io.BytesIO(), pytest.fail))
    shown += shown_by(lambda: read_join_token("-", io.BytesIO(line.encode() + b"\xff"), pytest.fail))
    assert line[len(PREFIX) : -3] not in shown
    assert_silent(shown)


def test_refused_tokens_are_not_repeated() -> None:
    clock, members = FrozenClock(), Members()
    members.add("bob", key=KEY)
    token, _ = TokenIssuer(SITE, KEY, clock).issue(Principal("bob", KEY.public.keyid, frozenset({READ})))
    assertion = make_assertion("bob", KEY, SITE, NOW)
    clock.seconds += 10_000
    tokens = TokenVerifier(SITE, [KEY.public], members, clock)
    assertions = AssertionVerifier(SITE, members, UsedSlots(clock), clock)
    shown = shown_by(lambda: tokens.verify(token)) + shown_by(lambda: assertions.verify(assertion))
    shown += shown_by(lambda: tokens.verify(token[:-4] + "AAAA")) + shown_by(lambda: tokens.verify("x" + token))
    for secret in (token, assertion, token.rsplit(".", 1)[1], assertion.rsplit(".", 1)[1]):
        assert secret not in shown
    assert_silent(shown)


def test_tls_key_errors_are_silent(tmp_path: Path) -> None:
    pem = encode_tls_key(new_tls_key())
    create_file(tmp_path / "key.pem", pem)
    create_file(tmp_path / "cert.pem", CertificateAuthority.create("other", NOW).certificate)
    shown = shown_by(lambda: ServerIdentity(tmp_path / "cert.pem", tmp_path / "key.pem"))
    shown += shown_by(lambda: decode_tls_key(pem[:-40]))
    assert pem.decode().splitlines()[1] not in shown
