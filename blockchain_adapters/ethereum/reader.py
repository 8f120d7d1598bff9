"""The contract as one provider shows it: `follow.Chain` over JSON-RPC.

Providers cap `eth_getLogs` each in its own way, so the range shrinks when one refuses and grows again when it does not. What is decoded
here is the contract's ABI by hand: eight fields, checked to the bit, at a tenth of a library's time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NoReturn

from eth_utils.crypto import keccak

from blockchain_adapters.ethereum.rpc import ProviderError, PrunedError, RpcError, hash_of, is_capped, octets, quantity
from blockchain_adapters.follow import Batch, Found, IncompleteError, MovedError, Tip, not_next
from ledger.core.errors import BadSourceError, FormatError, LedgerError
from ledger.core.trust.heads import Block
from ledger.core.trust.providers import FinalBlock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blockchain_adapters.ethereum.rpc import Provider

APPENDED = "0x" + keccak(text="Appended(uint64,address,bytes32,uint64,uint64,bytes32,bytes,bytes)").hex()
STATUS = "0x" + keccak(text="status()")[:4].hex()
WORD = 32
FIELDS = 6
FIRST_SPAN = 2_000
MOST_SPAN = 200_000
HEADERS = 50
GROW_BELOW = 1_000_000  # bytes of an answer
PRUNED = re.compile(r"prun|histor|archiv|missing trie node|(state|resource|data) (is )?(not |un)available", re.IGNORECASE)
NOTHING_FINAL = ("not found", "unknown block", "missing")


class EthereumChain:
    """One provider and one contract. `confirmations`: final is what has so many blocks on top; None: what the chain says."""

    def __init__(self, provider: Provider, contract: str, chain: int, *, confirmations: int | None = None, fallback: int = 64) -> None:
        """Read `contract` on `chain`. `fallback` confirmations count where the chain knows no finality of its own."""
        self._provider = provider
        self._contract = contract
        self._confirmations = confirmations
        self._fallback = fallback
        self._first_mark = keccak(chain.to_bytes(WORD, "big") + bytes(12) + bytes.fromhex(contract[2:]))
        self._span = FIRST_SPAN

    @property
    def name(self) -> str:
        """Return what people call this provider."""
        return self._provider.name

    async def tip(self) -> Tip:
        """See Chain."""
        latest = await self._block("latest")
        return Tip(_block(latest), await self._final(_block(latest).height))

    async def _final(self, height: int) -> int | None:
        if self._confirmations is not None:
            return max(0, height - self._confirmations)
        found = await self._finalized()
        if isinstance(found, int):
            return max(0, height - found)
        return None if found is None else min(height, found.height)

    async def _finalized(self) -> FinalBlock | int | None:
        """Return the block that the chain calls final, None for none yet; a number of confirmations where it knows no such thing."""
        try:
            found = await self._provider.call("eth_getBlockByNumber", "finalized", False)
        except RpcError as error:
            return None if any(word in error.text.lower() for word in NOTHING_FINAL) else self._fallback
        return None if found is None else self._final_block(found)

    async def final_block(self) -> FinalBlock | None:
        """See follow.Witness."""
        if self._confirmations is None:
            found = await self._finalized()
            if not isinstance(found, int):
                return found
            behind = found
        else:
            behind = self._confirmations
        height = _block(await self._block("latest")).height
        return await self.block_at(max(0, height - behind))

    async def block_at(self, height: int) -> FinalBlock:
        """See follow.Witness."""
        return self._final_block(await self._block(hex(height)))

    def _final_block(self, found: Any) -> FinalBlock:
        try:
            return FinalBlock(quantity(found["number"]), hash_of(found["hash"]), quantity(found["timestamp"]))
        except (FormatError, KeyError, TypeError) as error:
            raise ProviderError(self.name, "it answers with something that is no block") from error

    async def _block(self, height: str) -> Any:
        return await self._call("eth_getBlockByNumber", height, False)

    async def blocks(self, first: int, last: int) -> tuple[Block, ...]:
        """See Chain."""
        found: list[Block] = []
        for start in range(first, last + 1, HEADERS):
            heights = range(start, min(last + 1, start + HEADERS))
            answers = await self._asked(self._provider.call_many([("eth_getBlockByNumber", (hex(at), False)) for at in heights]))
            for height, answer in zip(heights, answers, strict=True):
                block = self._checked(answer, height)
                if found and found[-1].hash != block.parent:
                    raise MovedError("the chain moved")
                found.append(block)
        return tuple(found)

    def _checked(self, answer: Any, height: int) -> Block:
        if answer is None:
            raise MovedError(f"{self.name} has no block {height}")
        try:
            block = _block(answer)
        except FormatError as error:
            raise ProviderError(self.name, "it answers with something that is no block") from error
        if block.height != height:
            self._bad(f"asked for block {height}, it answers with block {block.height}")
        return block

    async def batches(self, first: int, last: int) -> Found:
        """See Chain. Takes the widest range that the provider answers; it is learnt from its refusals."""
        while True:
            end = min(last, first + self._span - 1)
            wanted = {"fromBlock": hex(first), "toBlock": hex(end), "address": self._contract, "topics": [APPENDED]}
            before = self._provider.received
            try:
                logs = await self._provider.call("eth_getLogs", wanted)
            except LedgerError as error:
                if not is_capped(error) or end == first:
                    raise self._unusable(error) from error
                self._span = max(1, (end - first + 1) // 2)
                continue
            if end - first + 1 == self._span and self._provider.received - before < GROW_BELOW:
                self._span = min(MOST_SPAN, self._span * 2)
            return Found(end, self._read(logs, first, end))

    def _read(self, logs: Any, first: int, last: int) -> tuple[Batch, ...]:
        if not isinstance(logs, list):
            self._bad("its logs are no list")
        try:
            placed = sorted({(one[0], one[1]): one for one in (self._placed(log) for log in logs)}.values(), key=lambda one: one[:2])
            batches = tuple(_batch(log) for _, _, log in placed)
        except (FormatError, KeyError, TypeError, IndexError) as error:
            raise ProviderError(self.name, "its logs are not those of the contract") from error
        if any(not first <= one.block <= last for one in batches):
            self._bad("it answers with logs of blocks that were not asked for")
        return _numbered(batches)

    def _placed(self, log: Any) -> tuple[int, int, Any]:
        if log.get("removed") is True:
            raise MovedError("the chain moved")
        if str(log["address"]).lower() != self._contract or log["topics"][0] != APPENDED or log["blockHash"] is None:
            self._bad("it answers with logs that were not asked for")
        return quantity(log["blockNumber"]), quantity(log["logIndex"]), log

    async def origin(self) -> int:
        """See Chain."""
        deployed = (await self._status("latest"))[4]
        return max(0, deployed - 1)

    def link(self, number: int, mark: bytes | None, batch: Batch) -> Batch:
        """See Chain: what `MetaLedger._record` computes."""
        if batch.number != number:
            raise not_next(batch, number, batch.block)
        words = (batch.number, int(batch.submitter, 16), batch.start, batch.size)
        text = b"".join([mark or self._first_mark, *(one.to_bytes(WORD, "big") for one in words), batch.root])
        if bytes(keccak(text + keccak(batch.payload) + keccak(batch.note))) != batch.mark:
            raise BadSourceError(f"batch {number} in block {batch.block} is not what the contract took: its hash is another")
        return batch

    async def check_end(self, block: Block, number: int, mark: bytes | None) -> None:
        """See Chain."""
        status = await self._status({"blockHash": block.hash})
        if (status[0], status[1]) != (number, mark or self._first_mark):
            reason = f"it gives {number} batches up to block {block.height}, where the contract counts {status[0]}"
            raise IncompleteError(f"{self.name}: {reason if status[0] != number else 'its logs are not those of the contract'}")

    async def _status(self, block: object) -> tuple[int, bytes, int, bytes, int, bool]:
        try:
            answer = await self._provider.call("eth_call", {"to": self._contract, "data": STATUS}, block)
        except RpcError as error:
            if isinstance(block, dict):
                raise MovedError(f"{self.name} cannot look at block {block['blockHash']}: {error.text}") from error
            raise self._unusable(error) from error
        try:
            raw = octets(answer, 6 * WORD)
        except FormatError as error:
            raise BadSourceError(f"{self.name}: what stands at {self._contract} is not the contract") from error
        words = [raw[at : at + WORD] for at in range(0, len(raw), WORD)]
        count, size, deployed, anybody = (int.from_bytes(words[at], "big") for at in (0, 2, 4, 5))
        return count, words[1], size, words[3], deployed, anybody == 1

    async def _call(self, method: str, *params: object) -> Any:
        return await self._asked(self._provider.call(method, *params))

    async def _asked(self, answer: Any) -> Any:
        try:
            return await answer
        except RpcError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> Exception:
        """Return the error with which the next provider is asked: one that prunes, caps or forbids is of no use for reading."""
        if not isinstance(error, RpcError):
            return error
        if PRUNED.search(error.text):
            return PrunedError(self.name, f"it does not keep all old blocks: {error.text}")
        return ProviderError(self.name, error.text)

    def _bad(self, reason: str) -> NoReturn:
        raise ProviderError(self.name, reason)


def _block(answer: Any) -> Block:
    """Return a block of JSON-RPC. FormatError for anything else."""
    try:
        return Block(quantity(answer["number"]), hash_of(answer["hash"]), hash_of(answer["parentHash"]))
    except (KeyError, TypeError) as error:
        raise FormatError("a block has number, hash and parent") from error


def _batch(log: Any) -> Batch:
    """Return the batch in a log of `Appended`. FormatError for anything else; `event` is set by `_numbered`."""
    data = octets(log["data"])
    words = [int.from_bytes(data[at : at + WORD], "big") for at in range(0, FIELDS * WORD, WORD)]
    payload, note = _tail(data, words[4]), _tail(data, words[5])
    return Batch(
        number=int.from_bytes(octets(log["topics"][1], WORD), "big"),
        block=quantity(log["blockNumber"]),
        block_hash=hash_of(log["blockHash"]),
        transaction=hash_of(log["transactionHash"]),
        event=0,
        submitter="0x" + octets(log["topics"][2], WORD)[12:].hex(),
        start=words[1],
        size=words[2],
        root=data[3 * WORD : 4 * WORD],
        payload=payload,
        note=note,
        mark=data[:WORD],
    )


def _tail(data: bytes, at: int) -> bytes:
    """Return the bytes that a field points to."""
    end = at + WORD
    length = int.from_bytes(data[at:end], "big") if end <= len(data) else len(data) + 1
    if end + length > len(data):
        raise FormatError("a log ends before its fields do")
    return data[end : end + length]


def _numbered(batches: Sequence[Batch]) -> tuple[Batch, ...]:
    """Return the batches with their places among those of one transaction."""
    found: list[Batch] = []
    for one in batches:
        same = bool(found) and found[-1].transaction == one.transaction
        found.append(one.at_event(found[-1].event + 1 if same else 0))
    return tuple(found)
