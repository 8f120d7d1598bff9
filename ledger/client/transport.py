"""One keep-alive HTTPS session to one server: tokens, problem documents, retries.

A server is known by the name in its verified TLS certificate. The assertion that buys a token names
that server, so that no server can spend it at another one (docs/http-api.md).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import urlencode

import orjson

from ledger.client.bodies import Reply, read_body, refuse_other_coding
from ledger.client.peer import AwayError, DistrustedError, OtherServerError, common_name
from ledger.core.errors import (
    AuthenticationError,
    BusyError,
    FormatError,
    InternalError,
    LedgerError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknown,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    error_class,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from types import TracebackType

    import aiohttp

    from ledger.client.wire import Wire

RENEW_BEFORE_SECONDS = 30.0
DEEPEST = 16  # levels of a member of a problem
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


class Assertions(Protocol):
    """Makes the signed assertion that buys a token at `server` (RFC 7523)."""

    @property
    def scope(self) -> str:
        """Return the scopes to ask for; empty asks for all that the identity may have."""
        ...

    def assertion(self, server: str) -> str:
        """Return a fresh single-use JWT for the server of that name (blocking: the key may be read anew)."""
        ...


class Transport:
    """Requests to one server. Close it, or use it as a context manager."""

    def __init__(
        self,
        base: str,
        *,
        context: ssl.SSLContext,
        assertions: Assertions | None = None,
        expected: str | None = None,
        bearer: str | None = None,
    ) -> None:
        """Speak to `base`. With `expected`, only to the server of that name; with `bearer`, with this very token.

        `follow`, where it is set, is asked when the server's certificate is not trusted: it may return a context that does.
        `moved`, where it is set, is asked when the server is not there: it may return the URL where it is now.
        """
        self.follow: Callable[[], Awaitable[ssl.SSLContext | None]] | None = None
        self.moved: Callable[[], Awaitable[str | None]] | None = None
        self.revoked: frozenset[int] = frozenset()  # serial numbers of certificates that count no more
        self.token_seconds: int | None = None  # how long a token is to be good, None: as long as the server allows
        self.base = base.rstrip("/")
        self.server: str | None = None
        self._expected = expected
        self._context = context
        self._assertions = assertions
        self._closed = False
        self._wire: Wire | None = None
        self._token: tuple[str, float] | None = None
        self._fixed = bearer
        self._token_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections for good; idempotent."""
        self._closed = True
        await self._hang_up()

    def _open(self) -> Wire:
        if self._closed:
            raise NotReadyError(f"the connection to {self.base} is closed", advice="Open the ledger again.")
        if self._wire is None:
            from ledger.client.wire import Wire  # noqa: PLC0415 - the HTTP library takes 0.2 s to load, and most reads ask no server

            self._wire = Wire(self.base, self._context, self._admit)
        return self._wire

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None, private: bool = True) -> Reply:
        """GET `path`; with a token when `private` and an identity is known. 304 is an answer, not an error."""
        return await self._authorised("GET", path, headers=headers or {}, body=None, private=private)

    async def post(self, path: str, body: bytes, content_type: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """POST `body`. Only for requests that may be repeated: a statement has one effect however often it is sent."""
        sent = {"Content-Type": content_type, **(headers or {})}
        return await self._authorised("POST", path, headers=sent, body=body, private=True)

    async def _authorised(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, private: bool) -> Reply:
        try:
            reply = await self._attempt(method, path, headers=headers, body=body, private=private)
        except OtherServerError as other:
            self._adopt(other.peer)
            reply = await self._again(method, path, headers=headers, body=body, private=private)
        if reply.status < HTTPStatus.BAD_REQUEST:
            return reply
        raise problem_error(reply)

    async def _again(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, private: bool) -> Reply:
        try:
            return await self._attempt(method, path, headers=headers, body=body, private=private)
        except OtherServerError as error:
            raise UnreachableError(f"{self.base} is one server now and another one then") from error

    async def _attempt(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None, private: bool) -> Reply:
        sent = {**headers, **(await self._bearer() if private else {})}
        reply = await self._once(method, path, headers=sent, body=body)
        if reply.status == HTTPStatus.UNAUTHORIZED and "Authorization" in sent:
            self._token = None  # revoked, or the server has another key now: buy a new one, once
            reply = await self._once(method, path, headers={**headers, **await self._bearer()}, body=body)
        return reply

    async def _once(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            return await self._trusted(method, path, headers=headers, body=body)
        except AwayError as away:
            base = await self._sought(away.error)
        await self.move(base)
        try:
            return await self._trusted(method, path, headers=headers, body=body)
        except AwayError as away:
            raise away.error from away

    async def _sought(self, error: UnreachableError) -> str:
        """Return where the server is now. Raises `error` when nobody knows, with what is known in it."""
        try:
            base = None if self.moved is None else await self.moved()
        except UnreachableError as refused:
            raise UnreachableError(f"{error.message}; {refused.message}", advice=refused.hint) from error
        if base is None or base == self.base:
            raise error
        return base

    async def move(self, base: str) -> None:
        """Speak to the same server at another URL from now on; what is under way at the old one breaks off."""
        self.base, self.server, self._token = base.rstrip("/"), None, None
        await self._hang_up()

    async def _hang_up(self) -> None:
        before, self._wire = self._wire, None
        if before is not None:
            await before.close()

    async def _trusted(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Reply:
        try:
            return await self._send(method, path, headers=headers, body=body)
        except DistrustedError:
            context = None if self.follow is None else await self.follow()
            if context is None:
                raise
        self._context = context
        await self._hang_up()
        return await self._send(method, path, headers=headers, body=body)

    async def _send(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> Reply:
        return await self._open().request(method, path, headers=headers, body=body)

    def _admit(self, certificate: Mapping[str, Any]) -> None:
        """Let requests go to the server of that certificate, or raise: before its name is known to be right it hears nothing."""
        peer = common_name(certificate)
        if int(certificate.get("serialNumber", "0"), 16) in self.revoked:
            advice = "Tell the network's admins: somebody may use a key that was given up."
            raise AwayError(UnreachableError(f"{self.base} shows a certificate that is revoked", advice=advice))
        if self._expected is not None and peer != self._expected:
            advice = "Check the URL; if the server was given another name, set `server` in config.toml."
            raise AwayError(UnreachableError(f"{self.base} is {peer or 'a server without a name'}, not {self._expected}", advice=advice))
        if self.server is not None and peer != self.server:
            raise OtherServerError(peer)
        self.server = peer

    def _adopt(self, peer: str | None) -> None:
        """Go on with another server behind the same address (a fail-over): tokens of the one before are not shown to it."""
        if self._fixed is not None:
            raise UnreachableError(f"another server answers at {self.base} now: the token given is not for it")
        self.server, self._token = peer, None

    async def _bearer(self) -> dict[str, str]:
        if self._fixed is not None:
            return {"Authorization": f"Bearer {self._fixed}"}
        if self._assertions is None:
            return {}
        async with self._token_lock:
            now = asyncio.get_running_loop().time()
            if self._token is None or now > self._token[1]:
                self._token = await self._buy(self._assertions, now)
            return {"Authorization": f"Bearer {self._token[0]}"}

    async def _buy(self, assertions: Assertions, now: float) -> tuple[str, float]:
        if self.server is None:
            await self._once("GET", "/healthz", headers={}, body=None)
        if self.server is None:
            raise UnreachableError(f"the certificate of {self.base} names no server")
        assertion = await asyncio.to_thread(assertions.assertion, self.server)
        fields = {"grant_type": GRANT, "assertion": assertion}
        fields |= {"scope": assertions.scope} if assertions.scope else {}
        fields |= {"expires_in": str(self.token_seconds)} if self.token_seconds else {}
        form = urlencode(fields).encode("ascii")
        reply = await self._once("POST", "/v1/token", headers={"Content-Type": "application/x-www-form-urlencoded"}, body=form)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise problem_error(reply)
        answer = parse_object(reply.body)
        try:
            return str(answer["access_token"]), now + max(1.0, float(answer["expires_in"]) - RENEW_BEFORE_SECONDS)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{self.base} answered a token request without a token") from error

    async def token(self) -> str:
        """Return an access token for the server. AuthenticationError without an identity."""
        try:
            bearer = await self._bearer()
        except OtherServerError as other:
            self._adopt(other.peer)
            bearer = await self._bearer()
        if not bearer:
            raise AuthenticationError("this home holds no member key")
        return bearer["Authorization"].removeprefix("Bearer ")

    async def _watched(self, path: str, headers: Mapping[str, str], idle_seconds: float) -> aiohttp.ClientResponse:
        """Begin a long answer; a token that counts no more is bought anew, once."""
        sent = {**headers, **await self._bearer()}
        response = await self._open().begin(path, headers=sent, idle_seconds=idle_seconds)
        if response.status == HTTPStatus.UNAUTHORIZED and "Authorization" in sent:
            response.release()
            self._token = None
            sent = {**headers, **await self._bearer()}
            response = await self._open().begin(path, headers=sent, idle_seconds=idle_seconds)
        return response

    async def stream(self, path: str, *, headers: Mapping[str, str], idle_seconds: float) -> AsyncGenerator[bytes, None]:
        """Yield the raw chunks of a long answer; raise `UnreachableError` when it breaks or stays silent too long."""
        try:
            with self._open().listening():
                async with await self._watched(path, headers, idle_seconds) as response:
                    if response.status != HTTPStatus.OK:
                        text, came = await read_body(response, "")
                        raise problem_error(Reply(response.status, dict(response.headers), text, came))
                    refuse_other_coding(response)
                    async for chunk in response.content.iter_any():
                        yield chunk
        except OtherServerError as other:
            self._adopt(other.peer)
            raise UnreachableError(f"another server answers at {self.base} now") from other
        except AwayError as away:
            raise away.error from away


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, or raise `FormatError`."""
    try:
        answer = orjson.loads(body)
    except ValueError as error:
        raise FormatError("the server's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise FormatError("the server's answer is not a JSON object")
    return answer


def problem_error(reply: Reply) -> LedgerError:
    """Return the domain error that a problem document (RFC 9457) or a bare status stands for."""
    try:
        problem = parse_object(reply.body)
    except FormatError:
        problem = {}
    return error_from_problem(problem, reply.status, reply.headers.get("retry-after"))


def error_from_problem(problem: Mapping[str, Any], status: int, retry_after: str | None = None) -> LedgerError:
    """Return the domain error named by `problem["code"]`; the status decides when the code is unknown."""
    detail = str(problem.get("detail") or problem.get("title") or f"the server answered {status}")
    cls = error_class(str(problem.get("code", "")))
    if cls is LedgerError:
        by_status = {401: AuthenticationError, 404: NotFoundError, 413: TooLargeError, 503: UnavailableError}
        cls = by_status.get(status, InternalError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else FormatError)
    if issubclass(cls, BusyError):
        return cls(detail, retry_after=_seconds(retry_after))
    if issubclass(cls, OutcomeUnknown):
        return cls(detail, operation=str(problem.get("operation", "")))
    reserved = {"type", "title", "status", "code", "detail", "advice", "message", "instance"}
    advice = problem.get("advice")
    error = cls(detail, advice=str(advice) if advice else None)
    error.context = {
        name: value for name, value in problem.items() if name not in reserved and name.isidentifier() and _is_shallow(value, DEEPEST)
    }
    return error


def _is_shallow(value: object, levels: int) -> bool:
    """Tell whether a JSON value is nested in so many levels at most: what is kept of an answer is written again, which has bounds."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in inner)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(60.0, max(0.0, float(retry_after or 1.0)))
    except ValueError:
        return 1.0
