"""The HTTP server of a master and of a node: one dispatcher over aiohttp's protocol, TLS 1.3, drained on stop.

It stands on aiohttp's low-level `web.Server`: every answer, those to unreadable requests included, is made here,
so that all errors have one shape, all answers have a request id, and a request costs no stack of middleware.
Order for each request: resolve the route, authorize, answer, observe.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from aiohttp import HttpVersion10, web

from ledger.core.errors import LedgerError, UnavailableError
from ledger.core.limits import LIMITS
from ledger.http.call import BODY_SECONDS, Call, too_large
from ledger.http.problem import Problem, Refusal, problem_of, problem_response
from ledger.http.transport import ConnectionServer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from auth.principal import Principal
    from ledger.http.logs import EventLog
    from ledger.http.routes import RouteTable

SERVER_NAME = "metaledger"
REMARK = "Metaledger-Remark"
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
BACKLOG = 1024
HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 5.0
DRAIN_STEP_SECONDS = 0.02
CUT_SECONDS = 0.5
UNROUTED = "unrouted"
UNREADABLE = "this is not an HTTP request that can be read"


class Authorizer(Protocol):
    """Decides who a request speaks for."""

    def authorize(self, call: Call, scopes: tuple[str, ...]) -> Principal:
        """Return who asks, with any one of `scopes`. Raises `AuthenticationError` or `NotAllowedError`."""
        ...

    def still(self, call: Call) -> bool:
        """Return whether who opened the stream `call` may still read it."""
        ...


class Watcher(Protocol):
    """Hears of every finished request; must be quick and must not raise."""

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Record an answer; a stream has no `seconds`."""
        ...


LOOPBACK: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is not written into a URL


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 asks the kernel for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local(self) -> Address:
        """Return where this machine itself reaches it: on loopback, when it listens everywhere."""
        return Address(LOOPBACK.get(self.host, self.host), self.port)


def parse_address(text: str) -> Address:
    """Return the address of HOST:PORT; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))


def require_version(request: web.BaseRequest) -> None:
    """Raise `Refusal` for what came before HTTP/1.0: its answers have neither status nor headers."""
    if request.version < HttpVersion10:
        raise Refusal(HTTPStatus.BAD_REQUEST, "bad-request", UNREADABLE)


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What a server is made of. What `remark` says stands in the header `Metaledger-Remark` of every answer: a node's, that it is stale."""

    table: RouteTable
    authorizer: Authorizer
    log: EventLog
    watcher: Watcher | None = None
    remark: Callable[[], str | None] | None = None
    connections: int = LIMITS.connections
    body: int = LIMITS.request


class HttpServer:
    """Serves one route table on one address. A body that is not there after `body_seconds` is waited for no longer."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self.body_seconds = BODY_SECONDS
        self._prefix = secrets.token_hex(4)
        self._numbers = count(1)
        self._server: ConnectionServer | None = None
        self._listener: asyncio.AbstractServer | None = None
        self._draining = False

    @property
    def open_connections(self) -> int:
        """Return how many connections stand now."""
        return 0 if self._server is None else len(self._server.connections)

    async def start(self, address: Address, context: ssl.SSLContext) -> Address:
        """Listen, and return the address bound. Raises `UnavailableError` when it cannot be had."""
        self._server = ConnectionServer(self.dispatch, self.unreadable, cap=self._parts.connections, body_cap=self._parts.body)
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                self._server,
                address.host,
                address.port,
                ssl=context,
                backlog=BACKLOG,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=CLOSE_SECONDS,
            )
        except OSError as error:
            raise UnavailableError(f"cannot listen on {address}: {error.strerror or error}") from error
        bound = self._listener.sockets[0].getsockname()
        return Address(str(bound[0]), int(bound[1]))

    async def stop(self, drain_seconds: float = LIMITS.drain_seconds) -> None:
        """Take no more connections, let the requests under way finish, close the rest. Takes about `drain_seconds` at most; idempotent."""
        listener, self._listener = self._listener, None
        server, self._server = self._server, None
        if listener is not None:
            listener.close()
        if server is None:
            return
        self._draining = True
        deadline = perf_counter() + drain_seconds
        await asyncio.sleep(0)
        while server.close_idle() and perf_counter() < deadline:  # noqa: ASYNC110 - aiohttp tells nobody when a request ends
            await asyncio.sleep(DRAIN_STEP_SECONDS)
        await server.shutdown(CUT_SECONDS)

    async def dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. Only cancellation and a lost connection pass through."""
        started = perf_counter()
        call = Call(request, self._request_id(request), self.body_seconds)
        route = UNROUTED
        try:
            require_version(request)
            found, call.params = self._parts.table.resolve(request.method, call.path)
            route = found.name
            if found.scopes:
                call.principal = self._parts.authorizer.authorize(call, found.scopes)
            answer = await found.answer(call)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 - the border: whatever it is becomes a problem document
            answer = self._failed(error, call, route)
        streamed = answer.prepared
        if not streamed:
            if self._draining:
                answer.force_close()
            headers = answer.headers
            headers["Server"] = SERVER_NAME
            if answer.status != HTTPStatus.NOT_MODIFIED:
                headers["X-Request-Id"] = call.request_id
            remark = None if self._parts.remark is None else self._parts.remark()
            if remark is not None:
                headers[REMARK] = remark.encode("ascii", "replace").decode()
        if self._parts.watcher is not None:
            seconds = None if streamed else perf_counter() - started
            self._parts.watcher.answered(route, answer.status, seconds)
        return answer

    def unreadable(self, request: web.BaseRequest, status: int, error: BaseException | None) -> web.Response:
        """Return the answer to what is no HTTP request, or to a failure outside `dispatch`."""
        request_id = self._request_id(request)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            problem = Problem(status, "bad-request", UNREADABLE)
            self._parts.log.write("debug", "request_unreadable", request_id=request_id, remote=request.remote)
        else:
            cause = error or RuntimeError("no cause given")
            problem = problem_of(cause)
            if not isinstance(cause, ConnectionError):
                self._parts.log.failure("request_failed", cause, request_id=request_id)
        answer = problem_response(problem, request_id)
        answer.headers["Server"] = SERVER_NAME
        if self._parts.watcher is not None:
            self._parts.watcher.answered(UNROUTED, problem.status, None)
        return answer

    def _failed(self, error: Exception, call: Call, route: str) -> web.Response:
        problem = self._transport_problem(error) or problem_of(error)
        facts = {"route": route, "status": problem.status, "request_id": call.request_id, "remote": call.request.remote}
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self._parts.log.failure("request_failed", error, **facts)
        else:
            level = "warning" if problem.status > HTTPStatus.INTERNAL_SERVER_ERROR else "debug"
            who = None if call.principal is None else call.principal.name
            self._parts.log.write(level, "request_refused", code=problem.code, principal=who, **facts)
        answer = problem_response(problem, call.request_id)
        if not isinstance(error, LedgerError | Refusal):
            answer.force_close()
        return answer

    def _transport_problem(self, error: Exception) -> Problem | None:
        if isinstance(error, web.HTTPRequestEntityTooLarge):
            return too_large(self._parts.body).problem
        if isinstance(error, web.RequestPayloadError | asyncio.IncompleteReadError):
            return Problem(400, "bad-request", "the body did not arrive whole")
        return None

    def _request_id(self, request: web.BaseRequest) -> str:
        given = request.headers.get("X-Request-Id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return f"{self._prefix}-{next(self._numbers):x}"
