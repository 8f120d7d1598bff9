"""Signatures verified ahead: only good ones are known as such, and nothing waits longer than it is wanted."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from ledger.core.envelope import Envelope, Signature, pae, seal, sign
from ledger.core.errors import FormatError
from ledger.core.statement import Statement, derive_id
from ledger.engine.admission import Request
from ledger.engine.ahead import Ahead
from ledger.engine.signatures import NONE, Checked
from ledger.engine.verifier import Claim
from tests.support.identities import key_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from ledger.core.canonical import JSONObject

KEY = key_of("author")


class Later:
    """An executor that runs what it was given when it is told."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], None], Future[None]]] = []

    def submit(self, work: Callable[[], None]) -> Future[None]:
        self.work.append((work, Future()))
        return self.work[-1][1]

    async def run(self) -> None:
        await asyncio.sleep(0)
        for work, future in self.work:
            work()
            future.set_result(None)
        self.work.clear()


def envelope(name: str) -> Envelope:
    body: JSONObject = {"name": name}
    return sign(Statement("ab" * 32, "put", "site", derive_id("site", body), None, KEY.public.keyid, "2026-11-22T10:00:00Z", body), [KEY])


def request(*envelopes: Envelope | FormatError) -> Request:
    return Request(envelopes, asyncio.get_running_loop().create_future())


def knowing() -> Checked:
    """Return what knows the author's key, as it does once the fold asked with it."""
    checked = Checked()
    one = envelope("known")
    assert checked.checker(NONE)(KEY.public, one.signatures[0].sig, pae(one.payload))
    return checked


async def test_good_signatures_are_known_to_the_request() -> None:
    later, one = Later(), envelope("a")
    ahead = Ahead(knowing(), cast("Executor", later))
    asked = request(one, FormatError("no envelope"))
    ahead.put(asked)
    await later.run()
    assert asked.good == {(KEY.public.raw, one.signatures[0].sig, pae(one.payload))}


async def test_a_bad_signature_is_not_known_as_good() -> None:
    later, one = Later(), envelope("a")
    forged = seal(one.payload, [Signature(KEY.public.keyid, bytes(64))])
    asked = request(forged)
    Ahead(knowing(), cast("Executor", later)).put(asked)
    await later.run()
    assert asked.good == NONE


async def test_one_piece_of_work_takes_all_that_waits() -> None:
    later = Later()
    ahead = Ahead(knowing(), cast("Executor", later))
    asked = [request(envelope(name)) for name in "abc"]
    for one in asked:
        ahead.put(one)
    await asyncio.sleep(0)
    assert len(later.work) == 1
    await later.run()
    assert all(len(one.good) == 1 for one in asked)
    again = request(envelope("d"))
    ahead.put(again)
    await later.run()
    assert len(again.good) == 1


async def test_what_is_forgotten_or_known_is_left_alone() -> None:
    later = Later()
    ahead = Ahead(knowing(), cast("Executor", later))
    taken, known = request(envelope("a")), request(envelope("b"))
    ahead.put(taken)
    ahead.forget([taken])
    await later.run()
    assert taken.good == NONE
    known.good = frozenset({Claim(b"", b"", b"")})
    ahead.put(known)
    await asyncio.sleep(0)
    assert not later.work


async def test_what_still_waits_when_others_are_taken_is_verified() -> None:
    later = Later()
    ahead = Ahead(knowing(), cast("Executor", later))
    taken, waiting = request(envelope("a")), request(envelope("b"))
    ahead.put(taken)
    ahead.put(waiting)
    ahead.forget([taken])
    await later.run()
    assert (len(taken.good), len(waiting.good)) == (0, 1)


async def test_it_works_on_a_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        ahead = Ahead(knowing(), pool)
        asked = [request(envelope(str(number))) for number in range(20)]
        for one in asked:
            ahead.put(one)
        await asyncio.sleep(0)
    assert sum(len(one.good) for one in asked) >= 1
