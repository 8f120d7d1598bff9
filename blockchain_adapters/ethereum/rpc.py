"""JSON-RPC to the nodes of an Ethereum chain: several URLs, of which the first good one answers.

A provider is not trusted with anything but its answers' form here: every answer has a cap on its bytes and on the time it takes, and
whatever is wrong with one becomes a domain error. A provider is asked who it is before it is asked anything else: chain id, genesis
and the contract's code must be those of the others. One that fails rests for a while and the next one is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

import aiohttp
import orjson

from blockchain_adapters.providers import REST_SECONDS, ask_first
from blockchain_adapters.providers import Provider as AnyProvider
from ledger.core.errors import BadSourceError, BusyError, FormatError, LedgerError, TooLargeError, UnreachableError, UnsupportedError
from ledger.core.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

ANSWER_BYTES = 16 * MIB
ANSWER_SECONDS = 20.0
CONNECT_SECONDS = 5.0
BATCH = 50
COMPARE = "Compare the address and the chain."
SHOWN = 200
FAILURES = (UnreachableError, BusyError, BadSourceError, FormatError)
LIMITED = frozenset({-32005, -32029, 429})  # what providers answer to too many requests (EIP-1474: limit exceeded)
CAPPED = re.compile(r"block range|range|too many|more than|limit|exceed|too large|response size|query timeout", re.IGNORECASE)
QUANTITY = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,31})", re.ASCII)


class RpcError(UnsupportedError):
    """The node answered with a JSON-RPC error: `number` and `text` are its own."""

    def __init__(self, provider: str, number: int, text: str) -> None:
        """Keep what the node said, cut to one line."""
        self.number = number
        self.text = text[:SHOWN]
        super().__init__(f"{provider} refuses: {self.text} ({number})", advice="See `ledger-cli status`.", provider=provider, number=number)


class ProviderError(UnreachableError):
    """One provider gave no usable answer. `sent`: the request may have arrived."""

    advice = "See `ledger-cli status`; further URLs of this chain go into `sources`."

    def __init__(self, provider: str, reason: str, *, sent: bool = True) -> None:
        """Keep who and why."""
        self.sent = sent
        super().__init__(f"{provider}: {reason}")


class PrunedError(ProviderError):
    """A provider no longer has the old blocks that are asked for."""

    advice = "Name a provider that keeps everything since the contract was made: in the URL, or in `sources`."


@dataclass(frozen=True, slots=True)
class Identity:
    """Which chain and contract a provider shows: what must be the same at all of them. `code` is the SHA-256 of the contract's code."""

    chain: int
    genesis: str
    code: str

    def difference(self, other: Identity) -> str | None:
        """Say how `other` differs, None when it does not."""
        if self.chain != other.chain:
            return f"it is on chain {other.chain}, not {self.chain}"
        if self.genesis != other.genesis:
            return f"its chain begins with block {other.genesis}, not {self.genesis}"
        return None if self.code == other.code else "the contract's code is another one there"


class Provider(AnyProvider):
    """One URL. For one event loop."""

    def __init__(self, url: str, *, patience: float = ANSWER_SECONDS) -> None:
        """Ask at `url`; an answer may take `patience` seconds."""
        super().__init__(shown(url))
        self.url = url
        self.identity: Identity | None = None
        self.patience = patience
        self.requests = 0
        self.received = 0
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._number = 0

    async def call(self, method: str, *params: object) -> Any:
        """Return the result of one call. Raises RpcError, or ProviderError or BusyError for no usable answer."""
        self._number += 1
        number = self._number
        answer = await self._post({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if not isinstance(answer, dict) or answer.get("id") != number:
            self._bad(f"its answer to {method} is not one")
        return self._result(answer, method)

    async def call_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Return the results of several calls, in order. Raises as `call` does, for the first that fails."""
        results: list[Any] = []
        for start in range(0, len(calls), BATCH):
            results += await self._batch(calls[start : start + BATCH])
        return results

    async def _batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        first = self._number + 1
        self._number += len(calls)
        asked = [
            {"jsonrpc": "2.0", "id": first + place, "method": method, "params": params} for place, (method, params) in enumerate(calls)
        ]
        answer = await self._post(asked)
        if isinstance(answer, dict) and "error" in answer:
            self._result(answer, calls[0][0])
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            self._bad("its answer to a batch of calls is not one")
        found = {one.get("id"): one for one in answer if isinstance(one.get("id"), int)}
        if len(answer) != len(calls) or set(found) != {first + place for place in range(len(calls))}:
            self._bad("it leaves calls of a batch unanswered")
        return [self._result(found[first + place], method) for place, (method, _) in enumerate(calls)]

    async def close(self) -> None:
        """Close the connections for good; idempotent."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._closed:  # whoever was under way when it was closed would open connections that nobody closes
            raise ProviderError(self.name, "the connection was closed", sent=False)
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self.patience, connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False, headers={"Accept-Encoding": "identity"})
        return self._session

    async def _post(self, asked: object) -> Any:
        body, sent = orjson.dumps(asked), False
        self.requests += 1
        headers = {"Content-Type": "application/json"}
        try:
            async with self._opened().post(self.url, data=body, headers=headers, allow_redirects=False) as reply:
                sent = True
                self._check(reply)
                return orjson.loads(await self._read(reply))
        except orjson.JSONDecodeError as error:
            raise ProviderError(self.name, "it answers with something that is not JSON") from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderError(self.name, f"no connection: {_reason(error)}", sent=False) from error
        except TimeoutError as error:
            raise ProviderError(self.name, f"no answer within {self.patience:.0f} s") from error
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise ProviderError(self.name, f"the connection broke: {_reason(error)}", sent=sent or True) from error

    def _check(self, reply: aiohttp.ClientResponse) -> None:
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise self._busy()
        if reply.headers.get("Content-Encoding", "identity") != "identity":
            self._bad("it compresses what was not asked for compressed")
        # Some nodes answer errors of JSON-RPC with 4xx: then the body says more than the status.
        if reply.status != HTTPStatus.OK and reply.content_type != "application/json":
            self._bad(f"it answers with HTTP status {reply.status}")

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in reply.content.iter_any():
            body += chunk
            self.received += len(chunk)
            if len(body) > ANSWER_BYTES:
                raise TooLargeError(f"{self.name} answers with more than {ANSWER_BYTES} bytes")
        return bytes(body)

    def _result(self, answer: dict[str, Any], method: str) -> Any:
        error = answer.get("error")
        if error is None:
            if "result" not in answer:
                self._bad(f"its answer to {method} has no result")
            return answer["result"]
        number = error.get("code") if isinstance(error, dict) else None
        text = error.get("message") if isinstance(error, dict) else None
        if type(number) is not int or not isinstance(text, str):
            self._bad(f"its answer to {method} is not one")
        if number in LIMITED and not CAPPED.search(text.replace("limit", "")):
            raise self._busy()
        raise RpcError(self.name, number, _line(text))

    def _busy(self) -> BusyError:
        return BusyError(f"{self.name} takes no more requests for now", retry_after=REST_SECONDS)

    def _bad(self, reason: str) -> NoReturn:
        raise ProviderError(self.name, reason)


class Rpc:
    """The providers of one chain, as one. `contract` is the address whose code they must agree on. For one event loop."""

    def __init__(
        self,
        urls: Sequence[str],
        contract: str,
        *,
        expected: Identity | None = None,
        chain: int | None = None,
        code: str | None = None,
    ) -> None:
        """Ask at `urls`, the first of which is preferred.

        `expected` is the identity known from before; `chain` and `code` are what is known of it otherwise.
        """
        self.providers = tuple(Provider(url) for url in dict.fromkeys(urls))
        self.contract = contract
        self.identity = expected
        self._chain, self._code = chain, code

    async def call(self, method: str, *params: object) -> Any:
        """Return the result at the first provider that answers. RpcError is an answer; UnreachableError when nobody gives one."""
        return await self.ask(lambda provider: provider.call(method, *params))

    async def call_many(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Return the results of several calls at one provider, in order."""
        answers: list[Any] = await self.ask(lambda provider: provider.call_many(calls))
        return answers

    async def ask(self, question: Callable[[Provider], Awaitable[Any]]) -> Any:
        """Return what `question` gets from the first provider that answers it; one that cannot is left to rest."""

        async def admitted(provider: Provider) -> Any:
            await self.admit(provider)
            return await question(provider)

        return await ask_first(self.providers, admitted, FAILURES)

    async def admit(self, provider: Provider) -> Identity:
        """Ask a provider who it is, once. BadSourceError when it shows another chain or contract than the others."""
        if provider.identity is None:
            calls = [("eth_chainId", ()), ("eth_getBlockByNumber", ("0x0", False)), ("eth_getCode", (self.contract, "latest"))]
            found = read_identity(provider.name, await provider.call_many(calls))
            self._compare(provider, found)
            provider.identity = self.identity = found
        return provider.identity

    def _compare(self, provider: Provider, found: Identity) -> None:
        if found.code == hashlib.sha256(b"").hexdigest():
            raise BadSourceError(f"{provider.name}: there is no contract at {self.contract}", advice=COMPARE)
        if self._chain is not None and found.chain != self._chain:
            raise BadSourceError(f"{provider.name}: it is on chain {found.chain}, not {self._chain}", advice=COMPARE)
        if self._code is not None and found.code != self._code:
            raise BadSourceError(
                f"{provider.name}: what stands at {self.contract} is another contract", advice="Compare the address and the chain."
            )
        difference = None if self.identity is None else self.identity.difference(found)
        if difference is not None:
            raise BadSourceError(f"{provider.name}: {difference}")

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        return sum(one.requests for one in self.providers)

    @property
    def received(self) -> int:
        """Return how many bytes of answers came."""
        return sum(one.received for one in self.providers)

    async def close(self) -> None:
        """Close the connections; idempotent."""
        await asyncio.gather(*(one.close() for one in self.providers))


def read_identity(name: str, answers: Sequence[Any]) -> Identity:
    """Return who a provider says that it is. ProviderError when it says nothing of the kind."""
    chain, block, code = answers
    genesis = block.get("hash") if isinstance(block, dict) else None
    try:
        return Identity(quantity(chain), hash_of(genesis), hashlib.sha256(octets(code)).hexdigest())
    except FormatError as error:
        raise ProviderError(name, f"it does not say which chain it is on: {error.message}") from error


def quantity(value: object) -> int:
    """Return a number in the form of JSON-RPC, `0x` and hex without leading zeros. FormatError for anything else."""
    if not isinstance(value, str) or not QUANTITY.fullmatch(value):
        raise FormatError("a quantity of JSON-RPC is 0x and hex digits")
    return int(value, 16)


def octets(value: object, size: int | None = None) -> bytes:
    """Return bytes in the form of JSON-RPC, of `size` if given. FormatError for anything else."""
    if not isinstance(value, str) or not value.startswith("0x") or (size is not None and len(value) != 2 + 2 * size):
        raise FormatError("bytes of JSON-RPC are 0x and two hex digits each")
    try:
        found = bytes.fromhex(value[2:])
    except ValueError as error:
        raise FormatError("bytes of JSON-RPC are 0x and two hex digits each") from error
    if 2 * len(found) + 2 != len(value):  # `fromhex` lets spaces pass
        raise FormatError("bytes of JSON-RPC are 0x and two hex digits each")
    return found


def hash_of(value: object) -> str:
    """Return a hash of JSON-RPC as `0x` and 64 lower-case hex digits. FormatError for anything else."""
    return "0x" + octets(value, 32).hex()


def shown(url: str) -> str:
    """Return the URL as people see it: without a path that may hold an access key."""
    found = re.match(r"(https?://[^/?]*)(/[^?]*)?", url)
    return url if found is None else found[1] + ("/…" if (found[2] or "/") != "/" else "")


def is_capped(error: LedgerError) -> bool:
    """Tell whether a provider refuses only because it was asked for too much at once."""
    return isinstance(error, TooLargeError) or (isinstance(error, RpcError) and CAPPED.search(error.text) is not None)


def _reason(error: Exception) -> str:
    return _line(str(error))[:SHOWN] or type(error).__name__


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
