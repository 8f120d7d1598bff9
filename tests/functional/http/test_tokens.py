"""Tokens over HTTPS: one assertion, one token, one server, as long as the member is live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from auth.assertions import GRANT_TYPE
from auth.keystore import generate_key
from auth.rates import INVITE_A_MINUTE, MEMBER_A_MINUTE
from auth.tokens import Site
from ledger.core.canonical import format_time
from tests.support.masters import Identity, Reply

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from tests.support.masters import Network


async def test_token_opens_what_its_scopes_say(network: Network) -> None:
    reply = await network.ask_token(network.assertion(network.admin), "read")
    assert reply.status == 200
    assert reply.json["token_type"] == "Bearer"
    assert reply.json["scope"] == "read"
    assert 0 < reply.json["expires_in"] <= 900
    assert reply.headers["Cache-Control"] == "no-store"
    header = {"Authorization": f"Bearer {reply.json['access_token']}"}
    assert (await network.get("/v1/policies", headers=header)).status == 200
    assert (await network.get("/v1/status", headers=header)).status == 403


async def test_admin_may_operate(network: Network) -> None:
    status = (await network.get("/v1/status", who=network.admin)).json
    assert status["role"] == "master"
    assert status["ready"] is True
    assert status["network"] == network.site.network
    assert status["size"] > 0
    assert status["checkpoint_age"] < 300


async def test_assertion_is_good_once(network: Network) -> None:
    assertion = network.assertion(network.admin)
    assert (await network.ask_token(assertion)).status == 200
    again = await network.ask_token(assertion)
    assert (again.status, again.json["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(("asked", "status"), [("60", 200), ("900", 200), ("901", 400), ("0", 400), ("-1", 400), ("x", 400), ("", 400)])
async def test_a_token_may_be_asked_for_less_time_than_the_limit(network: Network, asked: str, status: int) -> None:
    form = {"grant_type": GRANT_TYPE, "assertion": network.assertion(network.admin), "expires_in": asked}
    reply = await network.call("POST", "/v1/token", body=form)
    assert reply.status == status
    if status == 200:
        assert int(asked) - 2 <= reply.json["expires_in"] <= int(asked)


@pytest.mark.parametrize("server", ["node-1", "Master", ""])
async def test_assertion_for_another_server_is_refused(network: Network, server: str) -> None:
    assertion = network.assertion(network.admin, Site(network.site.network, server))
    assert (await network.ask_token(assertion)).status == 401


async def test_assertion_of_another_network_or_key_is_refused(network: Network) -> None:
    assert (await network.ask_token(network.assertion(network.admin, Site("0" * 64, "master")))).status == 401
    assert (await network.ask_token(network.assertion(Identity("admin", generate_key())))).status == 401


async def test_assertion_that_is_too_old_is_refused_with_our_time(network: Network) -> None:
    assertion = network.assertion(network.admin)
    network.clock.step = 1000.0
    reply = await network.ask_token(assertion)
    assert reply.status == 401
    assert abs(reply.json["server_time"] - network.clock.now()) < 10


@pytest.mark.parametrize(
    "body", ["", "grant_type=x", "grant_type=a&grant_type=b", "=", "&".join(f"a{n}=1" for n in range(20)), "grant_type=%ff"]
)
async def test_form_that_is_none_is_400(network: Network, body: str) -> None:
    reply = await network.call("POST", "/v1/token", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=body)
    assert reply.status == 400


async def test_token_ends_with_the_member_at_the_next_request(network: Network) -> None:
    member = await network.enrol("leaver")
    member_id = next(iter(network.versions))
    assert (await network.get("/v1/policies", who=member)).status == 200
    assert (await network.publish(network.drop("member", member_id))).status == 201
    assert (await network.get("/v1/policies", who=member)).status == 401
    assert (await network.ask_token(network.assertion(member))).status == 401


async def test_token_ends_with_a_change_of_key(network: Network) -> None:
    member, new = await network.enrol("changer"), generate_key()
    (member_id,) = network.versions
    assert (await network.get("/v1/policies", who=member)).status == 200
    body = (await network.get(f"/v1/policies/{member_id}", who=member)).json["policy"]["member"]
    changed = {**{name: body[name] for name in ("name", "type", "permissions")}, "key": new.public.text}
    assert (await network.publish(network.put("member", changed, who=member, policy_id=member_id, also=new))).status == 201
    assert (await network.get("/v1/policies", who=member)).status == 401
    assert (await network.get("/v1/policies", who=Identity("changer", new))).status == 200


async def test_jwks_names_the_token_key(network: Network) -> None:
    reply = await network.get("/.well-known/jwks.json")
    (key,) = reply.json["keys"]
    assert (key["kty"], key["crv"], key["use"]) == ("OKP", "Ed25519", "sig")
    assert "d" not in key


async def test_openapi_describes_what_is_served(network: Network) -> None:
    document = (await network.get("/openapi.json")).json
    assert document["openapi"] == "3.1.0"
    for path, operations in document["paths"].items():
        for method in operations:
            asked = path.replace("{path}", "x").replace("{id}", "x").replace("{digest}", "x").replace("{n}", "x")
            reply = await network.call(method.upper(), asked)
            assert reply.status not in {404, 405} or path == "/tile/{path}", (method, path)
    assert "/v1/entries" in document["paths"]
    assert len(document["paths"]) >= 18


async def refused_after(network: Network, who: Identity, most: int) -> tuple[int, Reply]:
    """Buy tokens until one is refused; return how many were bought, and the refusal."""
    for number in range(most):
        reply = await network.ask_token(network.assertion(who))
        if reply.status != 200:
            return number, reply
    raise AssertionError(f"{most} tokens were bought")


async def test_one_key_buys_so_many_tokens_a_minute_and_others_go_on(network: Network) -> None:
    eager, other = await network.enrol("eager"), await network.enrol("other")
    bought, reply = await refused_after(network, eager, 2 * MEMBER_A_MINUTE)
    assert bought >= MEMBER_A_MINUTE
    assert (reply.status, reply.json["code"]) == (503, "busy")
    assert 0 < float(reply.headers["Retry-After"]) <= 60
    assert (await network.ask_token(network.assertion(other))).status == 200
    assert (await network.ask_token(network.assertion(Identity("eager", generate_key())))).status == 401


async def test_one_invite_buys_fewer(network: Network) -> None:
    key = generate_key()
    expires = format_time(int(network.clock.now()) + 3600)
    body: JSONObject = {"name": "guest", "type": "node", "key": key.public.text, "permissions": ["permissions.node"], "expires": expires}
    assert (await network.publish(network.put("invite", body, also=key))).status == 201
    bought, reply = await refused_after(network, Identity("guest", key), 2 * INVITE_A_MINUTE)
    assert (bought >= INVITE_A_MINUTE, reply.status, reply.json["code"]) == (True, 503, "busy")
