"""One request as our routes see it: path, query, headers and a capped body, and the answers they give.

Paths are matched as they were sent, never decoded first: `%2e%2e` is no way around anything. Bodies with a
Content-Encoding are refused, so a small request cannot grow.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

import orjson
from aiohttp import web

from ledger.core.errors import UsageError
from ledger.core.limits import LIMITS
from ledger.http.problem import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auth.principal import Principal

JSON_TYPE = "application/json"
NUMBER_DIGITS = 16
QUERY_FIELDS = 16
BODY_SECONDS = 30.0


class Call:
    """A request being answered. `path` and `params` are raw text; `principal` is set when the route needs a scope."""

    __slots__ = ("_body_seconds", "_query", "params", "path", "principal", "query_text", "request", "request_id")

    def __init__(self, request: web.BaseRequest, request_id: str, body_seconds: float = BODY_SECONDS) -> None:
        target = request.raw_path
        if not target.startswith("/"):
            target = request.rel_url.raw_path_qs  # absolute-form, as proxies send it
        self.path, _, self.query_text = target.partition("?")
        self.request = request
        self.request_id = request_id
        self.params: Sequence[str] = ()
        self.principal: Principal | None = None
        self._query: dict[str, str] | None = None
        self._body_seconds = body_seconds

    @property
    def caller(self) -> Principal:
        """Return who asks; only for routes that need a scope."""
        if self.principal is None:
            raise LookupError("this route was reached without a principal")
        return self.principal

    def header(self, name: str) -> str | None:
        """Return a request header, or None."""
        return self.request.headers.get(name)

    def query(self) -> Mapping[str, str]:
        """Return the query's fields, each once. Raises `UsageError` for a doubled field, bad UTF-8 or too many fields."""
        if self._query is None:
            try:
                pairs = parse_qsl(self.query_text, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS)
            except ValueError as error:
                raise UsageError("the query string cannot be read") from error
            self._query = dict(pairs)
            if len(self._query) != len(pairs):
                raise UsageError("a query field stands twice")
        return self._query

    def only(self, *names: str) -> Mapping[str, str]:
        """Return the query's fields; raise `UsageError` for one that the route does not know."""
        fields = self.query()
        unknown = sorted(set(fields) - set(names))
        if unknown:
            raise UsageError(f"unknown query field {unknown[0]!r}", advice=f"This route takes: {', '.join(names) or 'none'}.")
        return fields

    def number(self, name: str, default: int | None = None) -> int:
        """Return the query field `name` as an integer from 0 on; raise `UsageError` when it is absent (without default) or no number."""
        text = self.query().get(name)
        if text is None and default is not None:
            return default
        return parse_number(name, text)

    def segment(self, position: int = 0) -> str:
        """Return a path parameter, percent-decoded once. Raises `UsageError` when that gives no UTF-8 text."""
        try:
            return unquote(self.params[position], errors="strict")
        except UnicodeDecodeError as error:
            raise UsageError("the path cannot be read") from error

    async def body(self, *types: str, cap: int = LIMITS.request) -> bytes:
        """Return the request's body, at most `cap` bytes, whose media type must be one of `types`.

        Raises `Refusal` 415 for another type or any Content-Encoding, 413 above the cap, 408 when the body does not come.
        """
        headers = self.request.headers
        if "Content-Encoding" in headers and headers["Content-Encoding"].lower() != "identity":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", "send the body without Content-Encoding")
        if types and media_type(headers.get("Content-Type", "")) not in types:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"this route takes {' or '.join(types)}")
        length = self.request.content_length
        if length is not None and length > cap:
            raise too_large(cap)
        content = await self._read(cap)
        if len(content) > cap:
            raise too_large(cap)
        return content

    async def _read(self, cap: int) -> bytes:
        """Read the body, but not far beyond `cap`: a body without a length must not fill the memory first."""
        content = self.request.content
        if content.is_eof():
            return content.read_nowait()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._body_seconds):
                async for part in content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > cap:
                        break
        except TimeoutError as error:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout", "the body did not arrive in time") from error
        return b"".join(parts)


def too_large(cap: int) -> Refusal:
    """Return the refusal of a body above `cap` bytes."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large", f"the body exceeds {cap} bytes")


def media_type(content_type: str) -> str:
    """Return the media type of a Content-Type header without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def parse_number(name: str, text: str | None) -> int:
    """Return the integer that `text` spells in plain decimal digits; raise `UsageError` otherwise."""
    if text is None:
        raise UsageError(f"{name} is missing")
    plain = text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS and (text == "0" or text[0] != "0")
    if not plain:
        raise UsageError(f"{name} must be a whole number in plain digits")
    return int(text)


def json_response(content: object, *, status: int = 200, cache: str = "no-store", headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a JSON answer; `cache` is its Cache-Control."""
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        headers={"Content-Type": JSON_TYPE, "Cache-Control": cache, "X-Content-Type-Options": "nosniff", **(headers or {})},
    )


def bytes_response(body: bytes, content_type: str, *, cache: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer of ready bytes; `cache` is its Cache-Control."""
    return web.Response(body=body, headers={"Content-Type": content_type, "Cache-Control": cache, **(headers or {})})
