"""LedgerClient: one way to read and write a ledger, whatever keeps it.

    async with LedgerClient.open(home=Path("node-1")) as client:
        await client.publish_one({"site": {"name": "Oslo"}})
        answer = await client.get("site", "name = Oslo")

Reads come from the home's verified copy and say which tree size they are of. Nothing is written to the ledger
without a proof coming back: a placement is checked against the log's keys before it is reported.
A cancelled publish may have been published: ask for it by its digest, or publish it again (it has one effect).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from ledger.client.answers import value_of
from ledger.client.authoring import parse_draft, put
from ledger.client.delivery import TARGET, WAITING, Deliverer, Delivery, tend
from ledger.client.exporting import write_edgelake
from ledger.client.importing import Importer
from ledger.client.inviting import new_invite
from ledger.client.outstanding import JournalSlips, NoSlips
from ledger.client.place import Place
from ledger.client.publishing import Manner, Pen, Publisher, dropped, patched
from ledger.client.queue import Ways, operation_facts
from ledger.client.reading import ReadingClient
from ledger.core.canonical import parse_time
from ledger.core.errors import NotFoundError, UnavailableError
from ledger.core.limits import LIMITS
from ledger.edgelake import read_ledger_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from ledger.client.answers import Published
    from ledger.client.authoring import Author, Wish
    from ledger.client.exporting import Exported
    from ledger.client.importing import Imported
    from ledger.client.kinds import Breaks
    from ledger.client.outstanding import Slips
    from ledger.client.receipts import ReceiptJudge
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.ports import Clock
    from ledger.engine.journal import Journal


class LedgerClient(ReadingClient):
    """A ledger, open. Make it with `open` and enter it with `async with`. For one event loop."""

    @classmethod
    def open(cls, ledger: str | None = None, *, home: Path | None = None, clock: Clock | None = None) -> Self:
        """Return a client of the home's ledger, or of the one at the URL `ledger`, which is then verified from the start.

        Nothing is opened yet. Raises NotFoundError when nobody lives in the home, UsageError for a wrong setting or URL.
        """
        return cls(Place.find(home, ledger, clock=clock))

    # -- writing -------------------------------------------------------------------------------------------------

    async def publish(
        self, policies: Sequence[JSON], *, expect: str | None = None, dry_run: bool = False, as_root: bool = False, queue: bool = False
    ) -> AsyncIterator[Published]:
        """Sign policies and publish them; yield one result each, in order. A refusal is a result, not an exception.

        Defaults of their schemas are filled in first. With `expect`, only after that version. Before anything is sent raises FormatError
        for what is no policy, and SchemaMismatchError or ConflictError for what breaks the rules of its kind: `policies` in its context
        names every fault of all of them. Raises UnreachableError, BusyError or OutcomeUnknown when the ledger gives no answer.
        With `queue` it raises none of these three:
        what cannot be delivered is kept in the home's journal and delivered later. What waits there already goes first.
        """
        drafts = [parse_draft(policy) for policy in policies]
        with suppress(*((UnavailableError,) if queue else ())):
            await self._fresh_copy(only_empty=True)
        wishes = [put(draft) for draft in await self.kinds.require(drafts)]
        manner = Manner(expect, as_root, dry_run)
        if queue:
            for result in await self._publish_queued(wishes, manner):
                yield result
            return
        if not dry_run:
            await self.deliver()
        publisher = await self.publisher()
        async for result in publisher.publish(wishes, manner, self._refresh):
            yield result

    async def breaks(self, policies: Sequence[JSON]) -> list[Breaks]:
        """Return which live policies the schemas among these policies would refuse, for each schema that refuses any. Nothing is sent."""
        drafts = [parse_draft(policy) for policy in policies]
        return await self.kinds.breaks([draft for draft in drafts if draft.kind == "schema"])

    async def publish_one(self, policy: JSON, *, expect: str | None = None, as_root: bool = False) -> Published:
        """Publish one policy. Raises the error that refuses it."""
        async for result in self.publish([policy], expect=expect, as_root=as_root):
            return _raised(result)
        raise NotFoundError("nothing was published")

    async def patch(self, policy_id: str, change: JSONObject, *, expect: str | None = None, as_root: bool = False) -> Published:
        """Merge `change` into a policy (RFC 7396). Raises the error that refuses it."""
        await self._fresh_copy()
        await self.kinds.require_patch(policy_id, change)
        record = (await self.reader.records([policy_id])).get(policy_id)
        return await self.submit(patched(record, policy_id, change), Manner(expect, as_root))

    async def drop(self, policy_id: str, *, expect: str | None = None, as_root: bool = False) -> Published:
        """Take a policy out of force. Raises the error that refuses it."""
        await self._fresh_copy()
        record = (await self.reader.records([policy_id])).get(policy_id)
        return await self.submit(dropped(record, policy_id), Manner(expect, as_root))

    async def submit(self, wish: Wish, manner: Manner) -> Published:
        """Publish one wish, in this manner. Raises the error that refuses it."""
        publisher = await self.publisher()
        async for result in publisher.publish([wish], manner, self._refresh):
            return _raised(result)
        raise NotFoundError("nothing was published")

    async def import_edgelake(
        self, content: bytes, *, dry_run: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> Imported:
        """Publish what a file of AnyLog or EdgeLake says (docs/edgelake.md). Done twice it has one effect.

        What is left out is in the answer, with its line; nothing of it is raised. `progress` hears `(answered, all)`.
        Raises TooLargeError for a file of more than `LIMITS.ledger_file` bytes, and UnreachableError, BusyError or
        OutcomeUnknown when the ledger gives no answer.
        """
        file = await asyncio.to_thread(read_ledger_file, content)
        await self._fresh_copy()
        if not dry_run:
            await self.deliver()
        importer = Importer(self.copy.store, await self.publisher(), self._refresh, progress)
        return await importer.carry_out(file, await importer.plan(file), dry_run=dry_run)

    async def export_edgelake(self, sink: Callable[[bytes], object], progress: Callable[[int], None] | None = None) -> Exported:
        """Write the live policies of the copy to `sink`, line by line, as AnyLog and EdgeLake read them. `progress` hears of entries."""
        await self._fresh_copy(only_empty=True)
        return await write_edgelake(self.copy.store, sink, progress)

    async def publisher(self, author: Author | None = None, *, receipts: ReceiptJudge | None = None) -> Publisher:
        """Return what signs and sends for this home, or for another `author` whose keys it holds; `receipts` judges what comes back."""
        publisher = Publisher(self.copy.backend, self.reader, await self._pen(author), receipts or self._receipts, self._slips())
        publisher.refresh = self._refresh
        return publisher

    def _slips(self) -> Slips:
        """Return where to note what is sent: an embedded ledger leaves nobody's hands, and adapters of chains write all of it down."""
        return JournalSlips(self._journal) if self.place.url.scheme == "https" and not self.place.foreign else NoSlips()

    async def _journal(self) -> Journal:
        return (await self._opened_queue()).journal

    async def _pen(self, author: Author | None = None) -> Pen:
        await self._fresh_copy(only_empty=True)
        writer = await asyncio.to_thread(self.place.author) if author is None else author
        return Pen(writer, await self.copy.network(), self.place.clock)

    # -- the local queue -----------------------------------------------------------------------------------------

    async def deliver(self) -> Delivery:
        """Deliver what waits in this home's queue; nothing to do in most homes. Refusals become dead letters.

        What this home sent to a chain and is not final is looked after, where the settings hold the account's passphrase.
        Raises UnreachableError, BusyError or OutcomeUnknown when the ledger gives no answer; what is not settled keeps waiting.
        """
        if self.place.foreign or not await self._has_journal():
            return Delivery()
        if self.place.url.on_chain and self.place.settings.passphrase is not None:
            await tend(await self.backend())
        journal = (await self._opened_queue()).journal
        if not await journal.select(WAITING, target=TARGET):
            return Delivery()
        return await Deliverer(journal, await self.backend(), self._receipts).deliver()

    async def operations(self, *, everything: bool = False) -> list[dict[str, object]]:
        """Return what is on its way or has no answer, and the dead letters; with `everything`, also what was delivered lately.

        A statement that was sent without an answer is listed until the copy shows it, or a later version of its id.
        """
        found = await (await self._opened_queue()).operations(everything=everything) if await self._has_journal() else []
        return [operation_facts(one) for one in found]

    async def retry_operation(self, number: int) -> Published:
        """Try an operation again, signed anew if another version came first. `result` says what became of it."""
        queue = await self._opened_queue()
        return await queue.retry(number, await self._pen(), self._ways())

    async def drop_operation(self, number: int) -> dict[str, object]:
        """Forget an operation that is queued, dead, or was sent without the queue; return it as it was. ConflictError for others."""
        return operation_facts(await (await self._opened_queue()).drop(number), "dropped")

    async def _publish_queued(self, wishes: Sequence[Wish], manner: Manner) -> list[Published]:
        queue = await self._opened_queue()
        return await queue.publish(wishes, manner, await self._pen(), self._ways())

    def _ways(self) -> Ways:
        return Ways(self.deliver, self._refresh)

    # -- members -------------------------------------------------------------------------------------------------

    async def invite(self, name: str, member_type: str, *, permissions: Sequence[str] = (), ttl: int = LIMITS.invite_seconds) -> str:
        """Publish an invite and return its join token, a secret. Raises the error that refuses it."""
        await self._fresh_copy(only_empty=True)
        network, who = await self.copy.network(), (name, member_type, tuple(permissions))
        wish, token, key = await asyncio.to_thread(new_invite, self.place, network, who, ttl)
        publisher = await self.publisher()
        _raised(await publisher.send(wish, None, [key]))
        return token.encode()

    async def invites(self) -> list[dict[str, object]]:
        """Return the invites that can still be used: neither used nor revoked, and not over by this machine's clock."""
        now = self.place.clock.now()
        answer = await self.get("invite")
        found = [content for policy in answer.policies if isinstance(content := value_of(policy), dict)]
        return [dict(content) for content in found if parse_time(str(content["expires"])) > now]

    async def access_token(self, *, scope: str = "read", ttl: int | None = None) -> str:
        """Return an access token of this home's identity for the ledger's server, good for `ttl` seconds, 15 minutes at most."""
        async with await asyncio.to_thread(lambda: self.place.transport(scope=scope)) as transport:
            transport.token_seconds = ttl
            return await transport.token()


def _raised(result: Published) -> Published:
    if result.error is not None:
        raise result.error
    return result
