"""Bodies of answers, read with bounds: whatever a server sends costs no more memory than the limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zstandard

from ledger.core.errors import FormatError, TooLargeError
from ledger.core.limits import LIMITS, MIB
from ledger.core.trust.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

ZSTD = "zstd"
CAP = LIMITS.request + LIMITS.entry
WINDOW = 8 * MIB
AT_ONCE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: `received` counts the bytes of the body as they came, packed or not."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: int = 0


async def read_body(response: aiohttp.ClientResponse, asked: str) -> tuple[bytes, int]:
    """Return the body as it was meant, and how many bytes came. `asked` is the Accept-Encoding that was sent.

    Raises `TooLargeError` above the limit, and `FormatError` for a coding that was not asked for or does not hold.
    """
    coding = refuse_other_coding(response, asked)
    raw = await _read_capped(response)
    if coding != ZSTD:
        return raw, len(raw)
    return (inflate(raw) if len(raw) <= AT_ONCE else await asyncio.to_thread(inflate, raw)), len(raw)


def refuse_other_coding(response: aiohttp.ClientResponse, asked: str = "") -> str:
    """Return the coding of an answer; raise `FormatError` when nobody asked for it: a few bytes of it may stand for gigabytes."""
    coding = response.headers.get("Content-Encoding", "identity").lower()
    if coding != "identity" and (coding != ZSTD or asked != ZSTD):
        raise FormatError("the server answers in a coding that was not asked for", finding=Finding.UNASKED_CODING)
    return coding


async def _read_capped(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > CAP:
            raise TooLargeError("the server answers with more than the limit", limit=LIMITS.request, finding=Finding.ENDLESS_ANSWER)
        parts.append(chunk)
    return b"".join(parts)


def inflate(raw: bytes) -> bytes:
    """Return what zstd packed. Raises `FormatError`, and `TooLargeError` above the limit, of which no more is ever unpacked."""
    try:
        with zstandard.ZstdDecompressor(max_window_size=WINDOW).stream_reader(raw) as reader:
            body = reader.read(CAP + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise FormatError("the server's answer cannot be unpacked") from error
    if len(body) > CAP:
        raise TooLargeError("the server answers with more than the limit", limit=LIMITS.request, finding=Finding.COMPRESSION_BOMB)
    return body
