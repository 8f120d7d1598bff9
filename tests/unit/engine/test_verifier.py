"""The process that verifies: it says what a check here says, and whoever asks checks for itself when it is gone."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ledger.engine.verifier import Claim, Verifier, answer, decode, encode
from tests.support.small_network import key

if TYPE_CHECKING:
    from collections.abc import Iterator


def claims() -> list[Claim]:
    """Return ten good claims, each followed by one that is good for another message, another key, or no signature at all."""
    signer, other = key("one"), key("other")
    found = []
    for number in range(10):
        message = b"message %d" % number * number
        signature = signer.sign(message)
        found.append(Claim(signer.public.raw, signature, message))
        wrong = (
            Claim(signer.public.raw, signature, message + b"!"),
            Claim(other.public.raw, signature, message),
            Claim(signer.public.raw, bytes(64), message),
        )
        found.append(wrong[number % 3])
    return found


@pytest.fixture
def verifier() -> Iterator[Verifier]:
    with closing(Verifier()) as made:
        yield made


def test_a_question_says_each_claim_once_and_is_answered_in_order() -> None:
    assert list(decode(encode(claims()))) == claims()
    assert answer(encode(claims())) == b"\x01\x00" * 10


def test_the_process_finds_the_claims_that_hold(verifier: Verifier) -> None:
    assert verifier.pid is not None
    assert verifier.valid([]) == []
    assert verifier.valid(claims()) == claims()[::2]
    assert verifier.valid(claims()[::-1]) == claims()[::-1][1::2]
    assert verifier.valid(claims()[1::2]) == []


def test_a_process_that_was_killed_is_done_without(verifier: Verifier) -> None:
    assert verifier.pid is not None
    os.kill(verifier.pid, signal.SIGKILL)
    assert verifier.valid(claims()) == claims()[::2]


def test_an_interrupt_of_the_terminal_ends_only_who_asks(verifier: Verifier) -> None:
    verifier.valid(claims())  # it has started
    assert verifier.pid is not None
    os.kill(verifier.pid, signal.SIGINT)
    assert verifier.valid(claims()) == claims()[::2]
    os.kill(verifier.pid, 0)


def test_a_closed_process_is_gone_and_questions_are_answered_here(verifier: Verifier) -> None:
    pid = verifier.pid
    assert pid is not None
    verifier.close()
    verifier.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert verifier.pid is None
    assert verifier.valid(claims()) == claims()[::2]
