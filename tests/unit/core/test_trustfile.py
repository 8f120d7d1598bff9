"""Trust files: reading, writing, judging notes, and what a root says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import FormatError, SignatureError
from ledger.core.keys import PrivateKey
from ledger.core.merkle import EMPTY_ROOT
from ledger.core.note import CLOCK_KIND, LOG_KIND, Note, VerifierKey, clock_line, log_line
from ledger.core.root import LogKey, Root, parse_root
from ledger.core.trustfile import MAX_FILE, Group, TrustPolicy, parse_trust_file, policy_of_keys, policy_of_root

ORIGIN = "log.example/one"
TEXT = Checkpoint(ORIGIN, 0, EMPTY_ROOT).text
SIGNERS = [PrivateKey(bytes((number,)) * 32) for number in range(1, 8)]
LOG, CLOCK, *WITNESSES = SIGNERS
LOG_KEY = VerifierKey(ORIGIN, LOG_KIND, LOG.public)
CLOCK_KEY = VerifierKey(f"{ORIGIN}/clock", CLOCK_KIND, CLOCK.public)
KEYS = [VerifierKey(f"w{number}.example", CLOCK_KIND, signer.public) for number, signer in enumerate(WITNESSES)]
W0, W1, W2 = (key.text for key in KEYS[:3])


def note(*witnesses: int) -> Note:
    lines = [clock_line(TEXT, KEYS[number].name, WITNESSES[number], 7) for number in witnesses]
    return Note(TEXT, (log_line(TEXT, ORIGIN, LOG), *lines))


def accepts(policy: TrustPolicy, *witnesses: int) -> bool:
    try:
        tree = policy.verify_note(note(*witnesses))
    except SignatureError:
        return False
    return tree.checkpoint == Checkpoint(ORIGIN, 0, EMPTY_ROOT) and LOG_KEY in tree.lines


def test_policy_of_the_specification_example_is_judged() -> None:
    text = f"""
        # two operators
        log {LOG_KEY.text}\thttps://log.example/
        witness X1 {KEYS[0].text}
        witness X2 {KEYS[1].text} https://x2.example/
        witness X3 {KEYS[2].text}
        group X-witnesses 2 X1 X2 X3
        witness Y1 {KEYS[3].text}
        witness Y2 {KEYS[4].text}
        group Y-witnesses any Y1 Y2
        group X-and-Y all X-witnesses Y-witnesses
        quorum X-and-Y
        """
    policy = parse_trust_file(text.encode())
    assert policy.groups == (
        Group("X-witnesses", 2, ("X1", "X2", "X3")),
        Group("Y-witnesses", 1, ("Y1", "Y2")),
        Group("X-and-Y", 2, ("X-witnesses", "Y-witnesses")),
    )
    assert accepts(policy, 0, 2, 4)
    assert accepts(policy, 0, 1, 2, 3, 4)
    assert not accepts(policy, 0, 1)
    assert not accepts(policy, 0, 3, 4)
    assert parse_trust_file(policy.encode()) == policy


def test_quorum_may_be_one_witness_or_none() -> None:
    one = parse_trust_file(f"log {LOG_KEY.text}\nwitness a {W0}\nquorum a\nwitness b {W1}\n".encode())
    assert accepts(one, 0)
    assert not accepts(one, 1)
    assert accepts(parse_trust_file(f"quorum none\nlog {LOG_KEY.text}".encode()))
    assert not accepts(parse_trust_file(b"quorum none"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n# nothing\n",
        f"log {LOG_KEY.text}\n",
        "quorum\n",
        "quorum a\n",
        "quorum none none\n",
        "quorum none\nquorum none\n",
        f"quorum a\nwitness a {W0}\n",
        "log\nquorum none\n",
        "log x\nquorum none\n",
        f"log {LOG_KEY.text} url more\nquorum none\n",
        f"log {W0}\nquorum none\n",
        f"log {LOG_KEY.text}\nlog {LOG_KEY.text}\nquorum none\n",
        f"log {LOG_KEY.text}\nlog {replace(LOG_KEY, name='other').text}\nquorum none\n",
        f"witness {W0}\nquorum none\n",
        f"witness a {LOG_KEY.text}\nquorum none\n",
        f"witness none {W0}\nquorum none\n",
        f"witness a {W0}\nwitness a {W1}\nquorum none\n",
        f"witness a {W0}\nwitness b {W0}\nquorum none\n",
        f"witness a {W0}\ngroup g all\nquorum g\n",
        f"witness a {W0}\ngroup g 0 a\nquorum g\n",
        f"witness a {W0}\ngroup g 2 a\nquorum g\n",
        f"witness a {W0}\ngroup g 01 a\nquorum g\n",
        f"witness a {W0}\ngroup g -1 a\nquorum g\n",
        f"witness a {W0}\ngroup g {'9' * 5_000} a\nquorum g\n",
        f"witness a {W0}\ngroup g most a\nquorum g\n",
        f"witness a {W0}\ngroup g 1 b\nquorum g\n",
        f"witness a {W0}\ngroup g 1 none\nquorum g\n",
        f"witness a {W0}\ngroup g 1 g\nquorum g\n",
        f"witness a {W0}\ngroup a 1 a\nquorum a\n",
        f"witness a {W0}\ngroup g 1 a a\nquorum g\n",
        f"witness a {W0}\ngroup g 1 a\ngroup h 1 a\nquorum g\n",
        f"witness a {W0}\ngroup g 1 a\nwitness g {W1}\nquorum g\n",
        "logs x\nquorum none\n",
        "Quorum none\n",
        "quorum none\r\n",
        "quorum none\x00\n",
        "# a bell\x07\nquorum none\n",
        "quorum none\n# dos\r\n",
        "quorum none\x7f\n",
        "quorum\u00a0none\n",
        "# " + "x" * MAX_FILE + "\nquorum none\n",
    ],
)
def test_text_that_is_no_trust_file_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_trust_file(text.encode())


def test_trust_file_of_64_kib_is_read_and_one_byte_more_is_not() -> None:
    raw = b"quorum none\n#".ljust(64 * 1024, b"x")
    assert len(raw) == MAX_FILE
    assert parse_trust_file(raw).quorum == "none"
    with pytest.raises(FormatError, match="at most 65536 bytes"):
        parse_trust_file(raw + b"x")


def test_names_are_opaque_octets() -> None:
    raw = b"witness K\xff\xe2\x84\xaa " + W0.encode() + b"\nquorum K\xff\xe2\x84\xaa\n"
    policy = parse_trust_file(raw)
    assert policy.encode() == raw
    with pytest.raises(FormatError):
        parse_trust_file(raw.replace(b"quorum K\xff", b"quorum K\xfe"))
    with pytest.raises(FormatError):
        parse_trust_file(b"log k\xff+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\nquorum none\n")


def test_note_of_another_origin_or_by_an_unknown_log_is_refused() -> None:
    other = Checkpoint("log.example/two", 0, EMPTY_ROOT).text
    policy = policy_of_keys([LOG_KEY])
    with pytest.raises(SignatureError, match="no known log"):
        policy.verify_note(Note(other, (log_line(other, ORIGIN, LOG),)))
    with pytest.raises(SignatureError, match="no known log"):
        policy.verify_note(Note(TEXT, (log_line(TEXT, ORIGIN, CLOCK),)))
    with pytest.raises(FormatError, match="three lines"):
        policy.verify_note(Note("text\n", (log_line("text\n", ORIGIN, LOG),)))


def test_bad_line_of_a_known_witness_spoils_the_note() -> None:
    policy = policy_of_keys([LOG_KEY], witnesses=KEYS[:2], quorum=1)
    good = note(0, 1)
    bad = replace(good.lines[2], signature=bytes(72))
    with pytest.raises(SignatureError, match=r"w1\.example"):
        policy.verify_note(Note(TEXT, (*good.lines[:2], bad)))


def test_policy_of_keys_counts_each_key_once_and_no_clock() -> None:
    again = replace(KEYS[0], name="again.example")
    clock_as_witness = replace(CLOCK_KEY, name="c.example")
    policy = policy_of_keys([LOG_KEY, LOG_KEY], clocks=[CLOCK_KEY], witnesses=[KEYS[0], again, clock_as_witness, KEYS[1]], quorum=2)
    assert policy.encode().decode() == (
        f"log {LOG_KEY.text}\nwitness clock-1 {CLOCK_KEY.text}\nwitness witness-1 {W0}\nwitness witness-2 {W1}\n"
        "group witnesses 2 witness-1 witness-2\nquorum witnesses\n"
    )
    assert parse_trust_file(policy.encode()) == policy
    assert accepts(policy, 0, 1)
    assert not accepts(policy, 0)
    with pytest.raises(FormatError, match="a quorum of 3 needs as many witnesses; there are 2"):
        policy_of_keys([LOG_KEY], clocks=[CLOCK_KEY], witnesses=[*KEYS[:2], clock_as_witness], quorum=3)


def root(**changes: object) -> Root:
    body = {
        "name": "one",
        "origin": ORIGIN,
        "version": 1,
        "fold": 1,
        "order": {"type": "log"},
        "admins": [{"name": "ann", "key": SIGNERS[6].public.text}],
        "threshold": 1,
        "authority_threshold": 1,
        "log_keys": [{"vkey": LOG_KEY.text, "until": None}],
        "clock_keys": [CLOCK_KEY.text],
        "mark_keys": [],
        "witnesses": [W0, W1],
        "quorum": 1,
        "fresh_for": 60,
        "stale_after": 300,
        "state_every": 65_536,
        "expires": None,
    }
    return parse_root({**body, **changes})  # type: ignore[dict-item]  # changes may be of any kind


def test_policy_of_root_lists_what_the_root_trusts_today() -> None:
    policy = policy_of_root(root())
    assert policy == policy_of_keys([LOG_KEY], clocks=[CLOCK_KEY], witnesses=KEYS[:2], quorum=1)
    assert policy_of_root(root(quorum=0)).quorum == "none"


def test_policy_of_root_leaves_out_closed_keys_and_vkeys_out_of_place() -> None:
    closed = LogKey(VerifierKey(ORIGIN, LOG_KIND, WITNESSES[3].public).text, 12)
    listed = [
        closed,
        LogKey(replace(LOG_KEY, name="other").text, None),
        LogKey("no vkey", None),
        LogKey(replace(LOG_KEY, kind=CLOCK_KIND).text, None),
        LogKey(LOG_KEY.text, None),
    ]
    stranger = replace(CLOCK_KEY, name="other")
    changed = replace(root(), log_keys=tuple(listed), clock_keys=(stranger.text, CLOCK_KEY.text), witnesses=("?", LOG_KEY.text, W2))
    assert policy_of_root(changed) == policy_of_keys([LOG_KEY], clocks=[CLOCK_KEY], witnesses=[KEYS[2]], quorum=1)
    with pytest.raises(FormatError, match="a quorum of 1"):
        policy_of_root(replace(changed, witnesses=()))
