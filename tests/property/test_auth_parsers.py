"""Whatever is handed in as a token, an assertion, a join token or a certificate: a domain error or a yes."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from auth.assertions import AssertionVerifier, make_assertion
from auth.join import PREFIX, JoinToken, parse_join_token
from auth.jws import Jws
from auth.keystore import decode_key, encode_key
from auth.pki import CertificateAuthority, load_chain, make_request, new_tls_key, parse_request, verify_chain
from auth.principal import SCOPES, Principal, format_scopes, parse_scopes
from auth.tokens import TOKEN_TYPE, TokenIssuer, TokenVerifier
from auth.used import UsedSlots
from ledger.core import canonical
from ledger.core.errors import AccessError, AuthenticationError, FormatError, UsageError, VerificationError
from ledger.core.keys import PrivateKey
from tests.support.identities import NOW, SITE, FrozenClock, Members, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN_KEY = key_of("token")
BOB = key_of("bob")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
CLAIM_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6
)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def world() -> tuple[TokenVerifier, AssertionVerifier, TokenIssuer]:
    clock, members = FrozenClock(), Members()
    members.add("bob")
    verifier = TokenVerifier(SITE, [TOKEN_KEY.public], members, clock)
    return verifier, AssertionVerifier(SITE, members, UsedSlots(clock), clock), TokenIssuer(SITE, TOKEN_KEY, clock)


TOKEN = world()[2].issue(Principal("bob", BOB.public.keyid, frozenset({"read"})))[0]
ASSERTION = make_assertion("bob", BOB, SITE, NOW)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "alg": st.sampled_from(["EdDSA", "none", "HS256", "", "ES256"]) | VALUES,
        "kid": st.sampled_from([TOKEN_KEY.public.keyid, BOB.public.keyid]) | VALUES,
        "typ": st.sampled_from([TOKEN_TYPE, "JWT"]) | VALUES,
        "crit": VALUES,
        "b64": VALUES,
        "jwk": VALUES,
    },
)


def changed(text: str) -> st.SearchStrategy[str]:
    """Return `text` with one cut, insertion or replacement."""
    place = st.integers(0, len(text))
    return st.builds(lambda a, b, new: text[:a] + new + text[max(a, b) :], place, place, st.text(max_size=6))


def refused(check: Callable[[str], object], text: str) -> None:
    with suppress(AuthenticationError):
        check(text)
        raise AssertionError(text)


@given(st.text() | st.text("abc.=_-", max_size=40) | st.binary().map(b64))
@example("." * 5_000)
@example(b64(b"[" * 3_000) + ".e30.AA")
def test_any_text_is_no_token(text: str) -> None:
    verifier, assertions, _ = world()
    refused(verifier.verify, text)
    refused(assertions.verify, text)


@given(HEADERS, VALUES, st.binary(max_size=70))
def test_any_header_and_claims_without_a_signature_are_refused(header: dict[str, object], claims: object, signature: bytes) -> None:
    verifier, assertions, _ = world()
    text = f"{b64(as_json(header))}.{b64(as_json(claims))}.{b64(signature)}"
    refused(verifier.verify, text)
    refused(assertions.verify, text)


@given(changed(TOKEN), changed(ASSERTION))
def test_any_change_of_a_token_is_refused(token: str, assertion: str) -> None:
    verifier, assertions, _ = world()
    if token != TOKEN:
        refused(verifier.verify, token)
    if assertion != ASSERTION:
        refused(assertions.verify, assertion)


@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "iat", "nbf", "jti", "scope", "client_id"]),
        st.none() | st.integers(0, 2**53 - 1) | CLAIM_TEXT,
    )
)
def test_any_signed_claims_give_a_principal_of_the_state_or_a_refusal(changes: dict[str, canonical.JSON]) -> None:
    """Even with the key, a token speaks only for who is live, and within the limits."""
    verifier, _, _ = world()
    claims: dict[str, canonical.JSON] = {
        "iss": "master",
        "sub": "bob",
        "aud": SITE.audience,
        "scope": "read",
        "client_id": BOB.public.keyid,
        "iat": NOW,
        "exp": NOW + 60,
        "jti": "x",
    }
    body = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    try:
        principal = verifier.verify(Jws().make(body, TOKEN_KEY, typ=TOKEN_TYPE))
    except AuthenticationError:
        return
    assert (principal.name, principal.keyid) == ("bob", BOB.public.keyid)
    assert principal.scopes <= {"read"}
    assert NOW < principal.expires <= NOW + 905


@given(st.text(max_size=60) | st.lists(st.sampled_from(sorted(SCOPES))).map(" ".join))
def test_scopes_are_known_or_refused(text: str) -> None:
    with suppress(AccessError):
        scopes = parse_scopes(text)
        assert scopes <= SCOPES
        assert parse_scopes(format_scopes(scopes)) == scopes


TIMES = st.integers(0, 253_402_300_799).map(canonical.format_time)
HOSTS = st.sampled_from(["https://127.0.0.1:8443", "https://[::1]:8443", "sqlite:///x/ledger.db", "ethereum+https://h:1/0xabc"])
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(DIGESTS, HOSTS, st.none() | DIGESTS, st.binary(min_size=32, max_size=32), TIMES)
def test_join_tokens_round_trip(ledger: str, url: str, ca: str | None, seed: bytes, expires: str) -> None:
    token = JoinToken(ledger, url, ca, PrivateKey(seed), expires)
    assert parse_join_token(token.encode()) == token
    assert base64.b64encode(seed).decode() not in repr(token)


JOIN = JoinToken("ab" * 32, "https://127.0.0.1:8443", None, BOB, "2026-11-21T10:00:00Z").encode()
BODIES = st.fixed_dictionaries(dict.fromkeys(("ledger", "url", "ca", "key", "expires"), VALUES))


@given(st.text() | st.binary().map(b64) | changed(JOIN) | VALUES.map(as_json).map(b64) | BODIES.map(as_json).map(b64))
def test_any_join_text_is_refused_or_has_one_spelling(text: str) -> None:
    for line in (text, PREFIX + text):
        try:
            token = parse_join_token(line)
        except FormatError:
            continue
        assert token.encode() == line.strip()


PEM = encode_key(BOB).decode()
LOCKED = encode_key(BOB, b"passphrase")
AUTHORITY = CertificateAuthority.create("edge CA", NOW)
REQUEST = make_request(new_tls_key(), "edge7", ["localhost", "127.0.0.1"]).decode()


@given(st.binary() | changed(PEM).map(lambda text: text.encode(errors="replace")))
@example(LOCKED[:-60] + LOCKED[-59:])
def test_any_key_file_is_a_key_or_a_domain_error(pem: bytes) -> None:
    with suppress(FormatError, UsageError):
        assert len(decode_key(pem, b"passphrase").seed) == 32


@given(st.binary() | changed(REQUEST).map(lambda text: text.encode(errors="replace")))
def test_any_certificate_request_is_taken_or_a_format_error(pem: bytes) -> None:
    with suppress(FormatError):
        request = parse_request(pem)
        assert (request.name, request.hosts) == ("edge7", ("localhost", "127.0.0.1"))


@given(st.binary(max_size=200))
def test_any_revocation_list_is_refused(crl: bytes) -> None:
    certificates = load_chain(AUTHORITY.issue(parse_request(REQUEST.encode()), NOW).chain)
    with suppress(VerificationError):
        verify_chain(certificates[:1], certificates[1:], NOW, crl=crl)
        raise AssertionError(crl)
