"""Admission: form and door; what is judged is the sequencer's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from auth.principal import Principal
from ledger.core.backend import Placed, Refused
from ledger.core.envelope import Envelope, Signature, pae, parse_envelope, seal, sign
from ledger.core.errors import BusyError, ConflictError, FormatError, NotAllowedError, TooLargeError
from ledger.core.limits import LIMITS
from ledger.core.statement import Statement, derive_id
from master.admission import SPELLINGS_BYTES, Admission, Terms, is_odd
from tests.support.identities import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.canonical import JSONObject

NETWORK = "ab" * 32
KEY = key_of("author")
MEMBER = Principal("author", KEY.public.keyid, frozenset({"read", "write"}), id="id-author")
GUEST = Principal("guest", KEY.public.keyid, frozenset({"join"}), id="invite-1")


class Log:
    """A sequencer that places everything, but what is named `taken`."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.terms: list[tuple[int | None, bool]] = []
        self.room = 10_000
        self.asked = 0

    def require_room(self, count: int) -> None:
        if count > self.room:
            raise BusyError("full")

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        self.terms.append((expected_size, receipts))
        return [self._place(envelope) for envelope in envelopes]

    def _place(self, envelope: Envelope | bytes) -> Placed | Refused:
        assert isinstance(envelope, bytes)
        self.asked += 1
        try:
            statement = parse_envelope(envelope).statement
        except FormatError as error:
            return Refused(error)
        if (statement.body or {}).get("name") == "taken":
            return Refused(ConflictError("taken"))
        self.entries.append(envelope)
        return Placed(len(self.entries) - 1, statement.digest, b"receipt")


def envelope(body: JSONObject, kind: str = "site", op: str = "put") -> Envelope:
    statement = Statement(
        NETWORK, op, kind, derive_id(kind, body), None, KEY.public.keyid, "2026-11-22T10:00:00Z", body if op == "put" else None
    )
    return sign(statement, [KEY])


async def test_many_are_pushed_back_before_they_are_read() -> None:
    log = Log()
    log.room = 2
    with pytest.raises(BusyError):
        await Admission(log).admit_many([b"nothing that can be read"] * 3, MEMBER)
    assert len(await Admission(log).admit_many([b"nothing that can be read"] * 2, MEMBER)) == 2


async def test_admit_places_the_one_spelling_of_any_spelling() -> None:
    log = Log()
    one = envelope({"name": "a"})
    odd = json.dumps(json.loads(one.entry), indent=1).encode()
    verdict = await Admission(log).admit(odd, MEMBER, Terms(7, receipts=False))
    assert verdict.id == one.statement.id
    assert log.entries == [one.entry]
    assert log.terms == [(7, False)]


async def test_admit_respells_what_only_the_sequencer_finds_odd() -> None:
    one, log = sign(envelope({"name": "a"}).statement, [KEY, key_of("other")]), Log()
    spelled = json.loads(one.entry)
    spelled["signatures"].reverse()
    odd = json.dumps(spelled, separators=(",", ":")).encode()
    assert not is_odd(odd)
    assert (await Admission(log).admit(odd, MEMBER)).id == one.statement.id
    assert (log.asked, log.entries) == (2, [one.entry])


async def test_admit_asks_once_for_what_is_refused_by_its_form() -> None:
    payload = b'{"v":2}'
    log, entry = Log(), seal(payload, [Signature(KEY.public.keyid, KEY.sign(pae(payload)))]).entry
    with pytest.raises(FormatError):
        await Admission(log).admit(entry, MEMBER)
    assert log.asked == 1


async def test_admit_raises_what_refuses() -> None:
    with pytest.raises(ConflictError, match="taken"):
        await Admission(Log()).admit(envelope({"name": "taken"}).entry, MEMBER)
    with pytest.raises(FormatError):
        await Admission(Log()).admit(b"{}", MEMBER)


async def test_admit_many_answers_each_in_its_place() -> None:
    log = Log()
    names = ["a", "taken", "b"]
    texts = [envelope({"name": name}).entry for name in names]
    texts.insert(1, b"no envelope")
    verdicts = await Admission(log).admit_many(texts, MEMBER)
    assert [type(verdict.result) for verdict in verdicts] == [Placed, Refused, Refused, Placed]
    assert isinstance(verdicts[1].result, Refused)
    assert isinstance(verdicts[1].result.error, FormatError)
    assert verdicts[1].id is None
    assert verdicts[3].id == derive_id("site", {"name": "b"})


async def test_admit_many_reads_long_requests_like_short_ones() -> None:
    log = Log()
    texts = [envelope({"name": f"site-{n}"}).entry for n in range(100)]
    verdicts = await Admission(log).admit_many(texts, MEMBER)
    assert log.entries == texts
    assert len({verdict.id for verdict in verdicts}) == 100


async def test_admit_many_of_nothing_that_can_be_read_asks_nobody() -> None:
    log = Log()
    assert len(await Admission(log).admit_many([b"x"], MEMBER)) == 1
    assert await Admission(log).admit_many([], MEMBER) == []
    assert log.terms == []


async def test_admit_many_has_a_limit() -> None:
    with pytest.raises(TooLargeError):
        await Admission(Log()).admit_many([b"x"] * (LIMITS.request_entries + 1), MEMBER)


async def test_admit_caps_every_spelling() -> None:
    with pytest.raises(TooLargeError):
        await Admission(Log()).admit(b" " * (SPELLINGS_BYTES + 1), MEMBER)
    (verdict,) = await Admission(Log()).admit_many([b" " * (SPELLINGS_BYTES + 1)], MEMBER)
    assert isinstance(verdict.result, Refused)
    assert isinstance(verdict.result.error, TooLargeError)


MEMBER_BODY: JSONObject = {
    "name": "guest",
    "type": "node",
    "key": KEY.public.text,
    "permissions": ["permissions.node"],
    "invite": "invite-1",
}


async def test_guest_hands_in_the_member_statement_of_its_invite() -> None:
    log = Log()
    await Admission(log).admit(envelope(MEMBER_BODY, "member").entry, GUEST)
    assert len(log.entries) == 1


@pytest.mark.parametrize(
    "refused",
    [
        envelope({"name": "a"}),
        envelope(MEMBER_BODY, "members"),
        envelope({**MEMBER_BODY, "invite": "invite-2"}, "member"),
        envelope({name: value for name, value in MEMBER_BODY.items() if name != "invite"}, "member"),
        envelope(MEMBER_BODY, "member", "drop"),
    ],
)
async def test_guest_hands_in_nothing_else(refused: Envelope) -> None:
    log = Log()
    with pytest.raises(NotAllowedError):
        await Admission(log).admit(refused.entry, GUEST)
    (verdict,) = await Admission(log).admit_many([refused.entry], GUEST)
    assert isinstance(verdict.result, Refused)
    assert isinstance(verdict.result.error, NotAllowedError)
    assert log.entries == []


async def test_guest_hands_in_for_its_own_key_only() -> None:
    other = Principal("guest", key_of("other").public.keyid, frozenset({"join"}), id="invite-1")
    with pytest.raises(NotAllowedError):
        await Admission(Log()).admit(envelope(MEMBER_BODY, "member").entry, other)
