"""Access tokens: what is taken, and every way in which one is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.jws import Jws
from auth.principal import JOIN, OPERATE, READ, WRITE, Principal
from auth.tokens import TOKEN_TYPE, Site, TokenIssuer, TokenVerifier, jwks
from ledger.core.errors import AuthenticationError
from tests.support.identities import NOW, SITE, FrozenClock, Members, key_of

TOKEN_KEY = key_of("token")


@dataclass
class World:
    """A server that issues and verifies."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    members: Members = field(default_factory=Members)

    def __post_init__(self) -> None:
        self.members.add("bob", "admin")
        self.issuer = TokenIssuer(SITE, TOKEN_KEY, self.clock)
        self.verifier = TokenVerifier(SITE, [TOKEN_KEY.public], self.members, self.clock)

    def token(self, *scopes: str, name: str = "bob") -> str:
        member = self.members.members[name]
        return self.issuer.issue(Principal(name, member.key.keyid, frozenset(scopes or (READ, WRITE))))[0]


@pytest.fixture
def world() -> World:
    return World()


def claims(**changes: object) -> dict[str, Any]:
    body = {
        "iss": "master",
        "sub": "bob",
        "aud": SITE.audience,
        "scope": "read",
        "client_id": key_of("bob").public.keyid,
        "iat": NOW,
        "exp": NOW + 900,
        "jti": "one",
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def forge(body: dict[str, Any], *, key: Any = TOKEN_KEY, typ: str = TOKEN_TYPE) -> str:
    return Jws().make(body, key, typ=typ)


def spell(header: object, body: object, signature: bytes = b"x" * 64) -> str:
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, body)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


def reason(verifier: TokenVerifier, token: str) -> object:
    with pytest.raises(AuthenticationError) as caught:
        verifier.verify(token)
    assert token == "" or token not in str(caught.value)
    return caught.value.context["reason"]


def test_issued_token_is_taken(world: World) -> None:
    principal = world.verifier.verify(world.token(READ, OPERATE))
    assert principal == Principal("bob", key_of("bob").public.keyid, frozenset({READ, OPERATE}), id="id-bob", expires=NOW + 900)


def test_token_is_read_by_plain_pyjwt_with_the_published_key(world: World) -> None:
    document = jwt.PyJWKSet.from_dict(json.loads(json.dumps(jwks([TOKEN_KEY.public]))))
    token = world.token(READ)
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "kid": TOKEN_KEY.public.keyid, "typ": "at+jwt"}
    options: Any = {"verify_exp": False, "verify_iat": False}
    body = jwt.decode(token, document[header["kid"]], algorithms=["EdDSA"], audience=SITE.audience, options=options)
    assert (body["iss"], body["sub"], body["scope"], body["exp"] - body["iat"]) == ("master", "bob", "read", 900)


def test_token_made_by_plain_pyjwt_is_taken(world: World) -> None:
    private = Ed25519PrivateKey.from_private_bytes(TOKEN_KEY.seed)
    token = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": TOKEN_KEY.public.keyid, "typ": TOKEN_TYPE})
    assert world.verifier.verify(token).name == "bob"


def test_two_tokens_differ(world: World) -> None:
    assert world.token() != world.token()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": "other"}, "wrong-issuer"),
        ({"iss": None}, "malformed"),
        ({"iss": 7}, "malformed"),
        ({"iss": ""}, "malformed"),
        ({"aud": f"{'ab' * 32}/node1"}, "wrong-audience"),
        ({"aud": f"{'cd' * 32}/master"}, "wrong-audience"),
        ({"aud": "master"}, "wrong-audience"),
        ({"aud": None}, "wrong-audience"),
        ({"aud": [SITE.audience, "other"]}, "wrong-audience"),
        ({"aud": []}, "wrong-audience"),
        ({"aud": {SITE.audience: 1}}, "wrong-audience"),
        ({"exp": NOW, "iat": NOW - 900}, "expired"),
        ({"exp": NOW - 1, "iat": NOW - 60}, "expired"),
        ({"exp": None}, "malformed"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": NOW + 10.5}, "malformed"),
        ({"exp": -1}, "malformed"),
        ({"exp": NOW + 901}, "lives-too-long"),
        ({"exp": 2**53 - 1}, "lives-too-long"),
        ({"iat": None}, "malformed"),
        ({"iat": NOW + 60}, "not-yet-valid"),
        ({"nbf": NOW + 60}, "not-yet-valid"),
        ({"nbf": "now"}, "malformed"),
        ({"jti": None}, "malformed"),
        ({"sub": None}, "malformed"),
        ({"sub": ["bob"]}, "malformed"),
        ({"sub": "b" * 513}, "malformed"),
        ({"sub": "alice"}, "revoked"),
        ({"client_id": None}, "malformed"),
        ({"client_id": key_of("alice").public.keyid}, "revoked"),
        ({"scope": "read rule"}, "bad-scope"),
        ({"scope": None}, "malformed"),
    ],
)
def test_claims_are_checked(world: World, changes: dict[str, object], expected: str) -> None:
    assert reason(world.verifier, forge(claims(**changes))) == expected


def test_audience_may_be_a_list_of_one(world: World) -> None:
    assert world.verifier.verify(forge(claims(aud=[SITE.audience]))).name == "bob"


def test_clocks_may_differ_by_a_little(world: World) -> None:
    assert world.verifier.verify(forge(claims(iat=NOW + 5, exp=NOW + 905))).expires == NOW + 905


def test_refusal_for_time_names_the_servers_time(world: World) -> None:
    with pytest.raises(AuthenticationError) as caught:
        world.verifier.verify(forge(claims(exp=NOW - 1, iat=NOW - 60)))
    assert caught.value.context == {"reason": "expired", "server_time": NOW}


def header(**changes: object) -> dict[str, object]:
    full = {"alg": "EdDSA", "kid": TOKEN_KEY.public.keyid, "typ": TOKEN_TYPE, **changes}
    return {name: value for name, value in full.items() if value is not None}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (spell(header(alg="none"), claims()), "algorithm"),
        (spell(header(alg="none"), claims(), b""), "malformed"),
        (spell(header(alg="None"), claims()), "algorithm"),
        (spell(header(alg="HS256"), claims()), "algorithm"),
        (spell(header(alg="RS256"), claims()), "algorithm"),
        (spell(header(alg="eddsa"), claims()), "algorithm"),
        (spell(header(alg=None), claims()), "algorithm"),
        (spell(header(alg=["EdDSA"]), claims()), "algorithm"),
        (spell(header(kid=None), claims()), "unknown-key"),
        (spell(header(kid=7), claims()), "malformed"),
        (spell(header(typ=7), claims()), "unknown-key"),
        (spell(header(kid=key_of("other").public.keyid), claims()), "unknown-key"),
        (spell(header(), claims()), "bad-signature"),
        (spell(header(), claims(), b"x" * 63), "bad-signature"),
        (spell(header(crit=["exp"]), claims()), "malformed"),
        (spell(header(b64=False), claims()), "malformed"),
        (spell([], claims()), "malformed"),
        (spell(header(), []), "malformed"),
        (spell(header(), b"{"), "malformed"),
        (spell(header(), b'{"a":1,"a":2}'), "malformed"),
        (spell(b"[" * 2_000, claims()), "malformed"),
        (spell(header(), b"[" * 2_000), "malformed"),
        (spell(b"9" * 2_500, claims()), "malformed"),
        (spell(b"\xff", claims()), "malformed"),
        (spell(header(), claims(sub="b" * 4_000)), "malformed"),
        ("", "malformed"),
        ("..", "malformed"),
        ("a.b", "malformed"),
        ("a.b.c.d", "malformed"),
        ("a.b.c\n", "malformed"),
        ("é.b.c", "malformed"),
    ],
)
def test_hostile_tokens_are_refused(world: World, token: str, expected: str) -> None:
    assert reason(world.verifier, token) == expected


def test_public_key_as_hmac_secret_is_refused(world: World) -> None:
    """The classic confusion: HS256 keyed by the published key."""
    unsigned = spell(header(alg="HS256"), claims()).rsplit(".", 1)[0]
    for secret in (TOKEN_KEY.public.raw, TOKEN_KEY.public.text.encode()):
        mac = base64.urlsafe_b64encode(hmac.digest(secret, unsigned.encode(), hashlib.sha256)).rstrip(b"=").decode()
        assert reason(world.verifier, f"{unsigned}.{mac}") == "algorithm"


def test_key_inside_the_token_is_not_used(world: World) -> None:
    thief = key_of("thief")
    own = jwks([thief.public])["keys"]
    assert isinstance(own, list)
    private = Ed25519PrivateKey.from_private_bytes(thief.seed)
    for kid in (TOKEN_KEY.public.keyid, thief.public.keyid):
        token = jwt.encode(
            claims(), private, algorithm="EdDSA", headers={"kid": kid, "typ": TOKEN_TYPE, "jwk": own[0], "jku": "https://thief"}
        )
        assert reason(world.verifier, token) in ("bad-signature", "unknown-key")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_changed_token_is_refused(world: World, place: int) -> None:
    parts = world.token().split(".")
    parts[place] = ("A" if parts[place][0] != "A" else "B") + parts[place][1:]
    assert reason(world.verifier, ".".join(parts)) in ("malformed", "bad-signature", "unknown-key", "algorithm")


def test_other_spelling_of_a_cached_token_is_refused(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    for other in (token + "=", token + "==", " " + token, token + "\n", token[:-1] + ("B" if token[-1] != "B" else "C")):
        assert reason(world.verifier, other) in ("malformed", "bad-signature")


def test_assertion_signed_by_the_token_key_is_no_access_token(world: World) -> None:
    assert reason(world.verifier, forge(claims(), typ="JWT")) == "wrong-type"
    assert world.verifier.verify(forge(claims(), typ="application/AT+JWT")).name == "bob"


def test_token_of_another_server_or_network_is_refused(world: World) -> None:
    for site in (Site(SITE.network, "node1"), Site("cd" * 32, SITE.server)):
        token, _ = TokenIssuer(site, TOKEN_KEY, world.clock).issue(Principal("bob", key_of("bob").public.keyid, frozenset({READ})))
        assert reason(world.verifier, token) in ("wrong-issuer", "wrong-audience")


def test_cached_token_expires(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    world.clock.seconds = NOW + 899.9
    assert world.verifier.verify(token).name == "bob"
    world.clock.seconds = NOW + 900
    assert reason(world.verifier, token) == "expired"


def test_state_is_not_asked_again_until_it_changes(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    asked = world.members.asked
    assert world.verifier.verify(token) is world.verifier.verify(token)
    assert world.members.asked == asked
    world.members.add("carol")
    world.verifier.verify(token)
    assert world.members.asked > asked


def test_dropped_member_is_refused_at_the_next_request(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    world.members.drop("bob")
    assert reason(world.verifier, token) == "revoked"
    assert reason(world.verifier, token) == "revoked"
    assert not world.verifier._verified


def test_changed_key_ends_the_tokens_of_the_old_one(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    world.members.rekey("bob", key_of("bob-2"))
    assert reason(world.verifier, token) == "revoked"
    assert world.verifier.verify(world.token()).keyid == key_of("bob-2").public.keyid


def test_name_that_another_took_over_does_not_inherit_the_token(world: World) -> None:
    token = world.token()
    world.members.drop("bob")
    world.members.add("bob", key=key_of("another"))
    assert reason(world.verifier, token) == "revoked"


def test_scope_is_lost_with_the_permission_and_comes_back_with_it(world: World) -> None:
    token = world.token(READ, OPERATE)
    assert world.verifier.verify(token).allows(OPERATE)
    world.members.add("bob")
    assert world.verifier.verify(token).scopes == {READ}
    world.members.add("bob", "service")
    assert world.verifier.verify(token).allows(OPERATE)


def test_scope_that_the_identity_has_not_is_dropped(world: World) -> None:
    world.members.add("eve")
    assert world.verifier.verify(world.token(READ, OPERATE, JOIN, name="eve")).scopes == {READ}


def test_join_token_ends_with_the_invite(world: World) -> None:
    invite = world.members.invite("edge7", expires=NOW + 30)
    principal = Principal("edge7", invite.key.keyid, frozenset({JOIN}), expires=invite.expires)
    token, expires = world.issuer.issue(principal)
    assert expires == NOW + 30
    assert world.verifier.verify(token).allows(READ)
    assert not world.verifier.verify(token).allows(WRITE)
    world.clock.seconds = NOW + 30
    assert reason(world.verifier, token) == "expired"
    world.clock.seconds = NOW
    world.members.drop("edge7")
    assert reason(world.verifier, token) == "revoked"


@pytest.mark.parametrize(("ttl", "lives"), [(60, 60), (10_000, 900), (0, 1), (-5, 1)])
def test_issued_tokens_live_15_minutes_at_most(world: World, ttl: int, lives: int) -> None:
    _, expires = world.issuer.issue(Principal("bob", key_of("bob").public.keyid, frozenset({READ})), ttl=ttl)
    assert expires == NOW + lives


def test_rotated_token_key_ends_old_tokens_at_once(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    world.verifier.set_keys([TOKEN_KEY.public, key_of("token-2").public])
    assert world.verifier.verify(token).name == "bob"
    world.verifier.set_keys([key_of("token-2").public])
    assert world.verifier.keys == (key_of("token-2").public,)
    assert reason(world.verifier, token) == "unknown-key"


def test_forget_checks_anew(world: World) -> None:
    token = world.token()
    world.verifier.verify(token)
    asked = world.members.asked
    world.verifier.forget()
    world.verifier.verify(token)
    assert world.members.asked > asked


def test_cache_is_bounded_and_drops_the_oldest(world: World) -> None:
    verifier = TokenVerifier(SITE, [TOKEN_KEY.public], world.members, world.clock, capacity=2)
    tokens = [world.token() for _ in range(3)]
    for token in tokens:
        verifier.verify(token)
    asked = world.members.asked
    verifier.verify(tokens[1])
    verifier.verify(tokens[2])
    assert world.members.asked == asked
    verifier.verify(tokens[0])
    assert world.members.asked > asked


def test_refused_tokens_are_not_kept(world: World) -> None:
    for changes in ({"aud": "x"}, {"sub": "alice"}):
        reason(world.verifier, forge(claims(**changes)))
    assert not world.verifier._verified


def test_keys_are_never_made_from_a_token() -> None:
    algorithm = Jws()._jws.get_algorithm_by_name("EdDSA")
    with pytest.raises(jwt.InvalidKeyError, match="Keys never come from a token"):
        algorithm.from_jwk("{}")
    with pytest.raises(jwt.InvalidKeyError, match=r"Keys are published by auth\.tokens\.jwks"):
        algorithm.to_jwk(TOKEN_KEY)
    assert Jws()._jws.get_algorithms() == ["EdDSA"]


def test_jwks_holds_public_halves_only() -> None:
    document = json.dumps(jwks([TOKEN_KEY.public]))
    seed = base64.urlsafe_b64encode(TOKEN_KEY.seed).rstrip(b"=").decode()
    assert seed not in document
    assert '"d"' not in document
