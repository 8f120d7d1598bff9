"""Assertions: proof of a key, for one server, for a minute, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth.assertions import AssertionVerifier, make_assertion
from auth.jws import Jws
from auth.principal import JOIN, OPERATE, READ, WRITE, Principal
from auth.tokens import TOKEN_TYPE, Site
from auth.used import UsedSlots
from ledger.core.errors import AuthenticationError, NotAllowedError
from tests.support.identities import NOW, SITE, FrozenClock, Members, key_of

BOB = key_of("bob")


@dataclass
class World:
    """A server that takes assertions."""

    clock: FrozenClock = field(default_factory=FrozenClock)
    members: Members = field(default_factory=Members)

    def __post_init__(self) -> None:
        self.members.add("bob")
        self.used = UsedSlots(self.clock)
        self.verifier = AssertionVerifier(SITE, self.members, self.used, self.clock)


@pytest.fixture
def world() -> World:
    return World()


def claims(**changes: object) -> dict[str, Any]:
    body = {"iss": "bob", "sub": "bob", "aud": SITE.audience, "iat": NOW, "exp": NOW + 60, "jti": "one"}
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


def reason(world: World, assertion: str) -> object:
    with pytest.raises(AuthenticationError) as caught:
        world.verifier.verify(assertion)
    assert assertion not in str(caught.value)
    return caught.value.context["reason"]


def test_member_proves_its_key(world: World) -> None:
    principal = world.verifier.verify(make_assertion("bob", BOB, SITE, NOW))
    assert principal == Principal("bob", BOB.public.keyid, frozenset({READ, WRITE}), id="id-bob")


def test_assertion_of_another_program_is_taken(world: World) -> None:
    private = Ed25519PrivateKey.from_private_bytes(BOB.seed)
    token = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": BOB.public.keyid})
    assert world.verifier.verify(token).name == "bob"


def test_scope_is_narrowed_on_request(world: World) -> None:
    assert world.verifier.verify(make_assertion("bob", BOB, SITE, NOW), frozenset({READ})).scopes == {READ}


def test_scope_beyond_the_identity_is_not_allowed_and_does_not_use_the_assertion_up(world: World) -> None:
    assertion = make_assertion("bob", BOB, SITE, NOW)
    with pytest.raises(NotAllowedError):
        world.verifier.verify(assertion, frozenset({READ, OPERATE}))
    assert world.verifier.verify(assertion).name == "bob"


def test_second_use_is_a_replay(world: World) -> None:
    assertion = make_assertion("bob", BOB, SITE, NOW)
    world.verifier.verify(assertion)
    assert reason(world, assertion) == "replayed"
    world.clock.seconds = NOW + 59.9
    assert reason(world, assertion) == "replayed"
    world.clock.seconds = NOW + 60
    assert reason(world, assertion) == "expired"


def test_jti_of_one_member_does_not_block_another(world: World) -> None:
    world.members.add("carol")
    world.verifier.verify(Jws().make(claims(), BOB, typ="JWT"))
    carols = Jws().make(claims(iss="carol", sub="carol"), key_of("carol"), typ="JWT")
    assert world.verifier.verify(carols).name == "carol"


def test_invite_gives_the_scope_join(world: World) -> None:
    invite = world.members.invite("edge7")
    principal = world.verifier.verify(make_assertion("edge7", key_of("invite-edge7"), SITE, NOW))
    assert principal == Principal("edge7", invite.key.keyid, frozenset({JOIN}), id="invite-edge7", expires=NOW + 3_600)


def test_joiner_may_name_its_key_id_as_it_does_not_know_the_invites_name(world: World) -> None:
    world.members.invite("edge7")
    key = key_of("invite-edge7")
    principal = world.verifier.verify(make_assertion(key.public.keyid, key, SITE, NOW))
    assert (principal.name, principal.scopes) == ("edge7", frozenset({JOIN}))


def test_key_id_of_another_is_refused(world: World) -> None:
    carol = world.members.add("carol")
    assert reason(world, make_assertion(carol.key.keyid, BOB, SITE, NOW)) == "wrong-issuer"
    assert reason(world, Jws().make(claims(sub=carol.key.keyid), BOB, typ="JWT")) == "wrong-subject"


def test_invite_may_ask_for_read_alone_but_never_for_write(world: World) -> None:
    world.members.invite("edge7")
    key = key_of("invite-edge7")
    assert world.verifier.verify(make_assertion("edge7", key, SITE, NOW), frozenset({READ})).scopes == {READ}
    for beyond in ({WRITE}, {READ, WRITE}, {JOIN, OPERATE}):
        with pytest.raises(NotAllowedError):
            world.verifier.verify(make_assertion("edge7", key, SITE, NOW), frozenset(beyond))


def test_expired_used_or_dropped_invite_is_refused(world: World) -> None:
    world.members.invite("edge7", expires=NOW)
    assert reason(world, make_assertion("edge7", key_of("invite-edge7"), SITE, NOW)) == "expired"
    world.members.drop("edge7")
    assert reason(world, make_assertion("edge7", key_of("invite-edge7"), SITE, NOW)) == "unknown-key"


def test_dropped_member_and_old_key_are_refused(world: World) -> None:
    world.members.rekey("bob", key_of("bob-2"))
    assert reason(world, make_assertion("bob", BOB, SITE, NOW)) == "unknown-key"
    assert world.verifier.verify(make_assertion("bob", key_of("bob-2"), SITE, NOW)).name == "bob"
    world.members.drop("bob")
    assert reason(world, make_assertion("bob", key_of("bob-2"), SITE, NOW)) == "unknown-key"


def test_name_of_another_is_refused(world: World) -> None:
    world.members.add("carol")
    assert reason(world, make_assertion("carol", BOB, SITE, NOW)) == "wrong-issuer"
    assert reason(world, Jws().make(claims(sub="carol"), BOB, typ="JWT")) == "wrong-subject"


@pytest.mark.parametrize("site", [Site(SITE.network, "node1"), Site("cd" * 32, "master"), Site("", "master")])
def test_assertion_for_another_server_or_network_is_refused(world: World, site: Site) -> None:
    assert reason(world, make_assertion("bob", BOB, site, NOW)) == "wrong-audience"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"exp": NOW + 61}, "lives-too-long"),
        ({"exp": NOW, "iat": NOW - 60}, "expired"),
        ({"iat": NOW + 6, "exp": NOW + 60}, "not-yet-valid"),
        ({"nbf": NOW + 6}, "not-yet-valid"),
        ({"jti": None}, "malformed"),
        ({"jti": ""}, "malformed"),
        ({"jti": "j" * 513}, "malformed"),
        ({"iat": None}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"aud": None}, "wrong-audience"),
    ],
)
def test_claims_are_checked(world: World, changes: dict[str, object], expected: str) -> None:
    assert reason(world, Jws().make(claims(**changes), BOB, typ="JWT")) == expected


def test_forged_signature_is_refused_before_the_jti_is_taken(world: World) -> None:
    good = make_assertion("bob", BOB, SITE, NOW)
    head, body, signature = good.split(".")
    forged = f"{head}.{body}.{('A' if signature[0] != 'A' else 'B') + signature[1:]}"
    assert reason(world, forged) == "bad-signature"
    assert world.verifier.verify(good).name == "bob"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_other_algorithms_are_refused(world: World, algorithm: str) -> None:
    secret: Any = None if algorithm == "none" else BOB.public.raw
    token = jwt.encode(claims(), secret, algorithm=algorithm, headers={"kid": BOB.public.keyid})
    assert reason(world, token) in ("algorithm", "malformed")


def test_access_token_form_is_no_assertion(world: World) -> None:
    assert reason(world, Jws().make(claims(), BOB, typ=TOKEN_TYPE)) == "wrong-type"


def test_made_assertions_live_a_minute_at_most(world: World) -> None:
    assertion = make_assertion("bob", BOB, SITE, NOW + 0.9, ttl=3_600)
    token = Jws().peek(assertion)
    assert token.seconds("exp") - token.seconds("iat") == 60
    assert world.verifier.verify(assertion).name == "bob"
