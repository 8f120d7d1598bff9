"""Bearer tokens at the door."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request

from auth.principal import Principal
from ledger.core.errors import AuthenticationError, NotAllowedError
from ledger.http.access import BearerAuthorizer
from ledger.http.call import Call

if TYPE_CHECKING:
    from auth.tokens import TokenVerifier


class Verifier:
    """Knows one token."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def verify(self, text: str) -> Principal:
        self.asked.append(text)
        if text != "good":
            raise AuthenticationError("no")
        return Principal("m", "k", frozenset({"read", "write"}))


def authorizer(local: str | None = None) -> BearerAuthorizer:
    return BearerAuthorizer(cast("TokenVerifier", Verifier()), local_token=local)


def call(header: str | None) -> Call:
    headers: dict[str, Any] = {} if header is None else {"Authorization": header}
    return Call(make_mocked_request("GET", "/x", headers=headers), "r")


@pytest.mark.parametrize("header", ["Bearer good", "bearer good", "BEARER  good "])
def test_authorize_takes_a_bearer_token(header: str) -> None:
    assert authorizer().authorize(call(header), ("read",)).name == "m"


@pytest.mark.parametrize("header", [None, "", "good", "Basic good", "Bearer bad", "Bearer", "Bearer " + "x" * 9000])
@pytest.mark.parametrize("local", [None, "local-token", ""])
def test_authorize_refuses_anything_else(header: str | None, local: str | None) -> None:
    with pytest.raises(AuthenticationError):
        authorizer(local).authorize(call(header), ("read",))


def test_authorize_wants_one_of_the_scopes() -> None:
    assert authorizer().authorize(call("Bearer good"), ("write", "join")).allows("write")
    with pytest.raises(NotAllowedError, match="operate"):
        authorizer().authorize(call("Bearer good"), ("operate",))


def test_local_token_opens_reading_only() -> None:
    door = authorizer("local-token")
    assert door.authorize(call("Bearer local-token"), ("read",)).name == "local"
    with pytest.raises(NotAllowedError):
        door.authorize(call("Bearer local-token"), ("write",))


def test_still_follows_the_token() -> None:
    assert authorizer().still(call("Bearer good"))
    assert not authorizer().still(call("Bearer bad"))
