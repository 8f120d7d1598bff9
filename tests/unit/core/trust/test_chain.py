"""What several providers of a chain report, and reorganisations above the final block: FORMATS 11."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import CorruptError, NotFoundError
from ledger.core.trust.heads import Block, Extended, FinalChanged, Heads, NeedParent, follow_branch, raise_final
from ledger.core.trust.providers import (
    Agreed,
    ChainAlarm,
    ChainAlarmKind,
    ChainState,
    Claim,
    FinalBlock,
    NeedHashes,
    Report,
    Waiting,
    end_chain_alarm,
    judge_reports,
)


def block(height: int, branch: str = "") -> FinalBlock:
    return FinalBlock(height, f"{branch}{height}", 10 * height)


def report(provider: str, height: int, *asked: int, branch: str = "") -> Report:
    return Report(provider, block(height, branch), {at: block(at, branch) for at in asked})


def agreed(height: int) -> ChainState:
    return ChainState(agreed=block(height))


def test_nothing_is_known_without_reports() -> None:
    assert judge_reports(ChainState(), [], 1, providers=0) == (ChainState(), Waiting())
    assert judge_reports(ChainState(), [report("a", 5)], 1, providers=2) == (ChainState(), Waiting())


def test_one_provider_is_believed() -> None:
    state, verdict = judge_reports(ChainState(), [report("a", 5)], 1, providers=1)
    assert verdict == Agreed(block(5), moved=True)
    assert state.believed


def test_a_block_that_is_reported_again_is_as_fresh_as_enough_providers_say() -> None:
    def told(provider: str, time: int) -> Report:
        return Report(provider, replace(block(5), time=time), {})

    for told_by, time in (
        ([told("a", 99)], 99),
        ([told("a", 99), told("b", 70)], 70),
        ([told("a", 99), told("b", 70), told("c", 80)], 80),
        ([told("a", 1), told("b", 2)], block(5).time),
        ([told("a", 99), report("b", 4)], block(5).time),
    ):
        reports = [Report(one.provider, one.final, {4: block(4)}) for one in told_by]
        state, verdict = judge_reports(agreed(5), reports, 1, providers=len(reports))
        assert verdict == Agreed(replace(block(5), time=time), moved=False)
        assert state.agreed == replace(block(5), time=time)


def test_known_is_what_two_report_with_the_same_hash() -> None:
    reports = [report("a", 7), report("b", 5)]
    assert judge_reports(ChainState(), reports, 1, providers=2)[1] == NeedHashes((("a", 5),))
    state, verdict = judge_reports(ChainState(), [report("a", 7, 5), report("b", 5)], 1, providers=2)
    assert verdict == Agreed(block(5), moved=True)
    assert state == ChainState(agreed=block(5), laggards=("b",))


def test_third_provider_lets_the_node_go_on_past_a_frozen_one() -> None:
    reports = [report("frozen", 5), report("b", 9, 5, 8), report("c", 8, 5)]
    state, verdict = judge_reports(agreed(5), reports, 1, providers=3)
    assert verdict == Agreed(block(8), moved=True)
    assert state.laggards == ("frozen", "c")


def test_frozen_one_of_two_holds_the_node_and_is_named() -> None:
    state, verdict = judge_reports(agreed(5), [report("frozen", 5), report("b", 90, 5)], 1, providers=2)
    assert verdict == Agreed(block(5), moved=False)
    assert state.laggards == ("frozen",)


def test_provider_that_fell_behind_the_agreed_block_lags() -> None:
    reports = [report("a", 3), report("b", 5, 3)]
    state, verdict = judge_reports(agreed(5), reports, 1, providers=2)
    assert verdict == Agreed(block(5), moved=False)
    assert state.laggards == ("a",)
    both = [report("a", 3), report("b", 3)]
    assert judge_reports(agreed(5), both, 1, providers=2)[0].laggards == ("a", "b")


def test_two_hashes_for_one_final_height_are_an_alarm_that_names_both() -> None:
    reports = [report("a", 5), report("b", 6, 5, branch="x")]
    state, verdict = judge_reports(ChainState(), reports, 9, providers=2)
    expected = ChainAlarm(ChainAlarmKind.PROVIDERS_DIFFER, 9, (Claim("a", 5, "5"), Claim("b", 5, "x5")))
    assert verdict == expected
    assert state.alarm == expected


def test_one_of_two_that_contradicts_the_agreed_block_is_a_difference_of_providers() -> None:
    reports = [report("a", 5), report("b", 5, branch="x")]
    verdict = judge_reports(agreed(5), reports, 9, providers=2)[1]
    assert isinstance(verdict, ChainAlarm)
    assert verdict.kind is ChainAlarmKind.PROVIDERS_DIFFER


def test_final_block_that_changes_is_an_alarm_and_needs_the_operator() -> None:
    reports = [report("a", 7, 5, branch="x"), report("b", 7, 5, branch="x")]
    state, verdict = judge_reports(agreed(5), reports, 9, providers=2)
    assert verdict == ChainAlarm(ChainAlarmKind.FINAL_CHANGED, 9, (Claim("agreed", 5, "5"), Claim("a", 5, "x5"), Claim("b", 5, "x5")))
    assert judge_reports(state, [report("a", 9), report("b", 9)], 10, providers=2) == (state, verdict)
    kept = end_chain_alarm(state, "anna", 11, forget=False)
    assert kept.alarm is None
    assert kept.agreed == block(5)
    assert kept.ended[0].alarm == verdict
    gone = end_chain_alarm(state, "anna", 11, forget=True)
    assert judge_reports(gone, reports, 12, providers=2)[1] == Agreed(block(7, "x"), moved=True)


def test_there_must_be_an_alarm_to_end() -> None:
    with pytest.raises(NotFoundError):
        end_chain_alarm(ChainState(), "anna", 1, forget=False)


def test_chain_state_is_the_same_after_storing() -> None:
    state, _ = judge_reports(agreed(5), [report("a", 7, 5, branch="x"), report("b", 7, 5, branch="x")], 9, providers=2)
    state = end_chain_alarm(state, "anna", 11, forget=False)
    assert ChainState.from_json(state.to_json()) == state
    with pytest.raises(CorruptError, match="version 2"):
        ChainState.from_json(state.to_json().replace('"version":1', '"version":2'))


# Heads.


def chain(names: str, start: int = 1, parent: str = "0") -> tuple[Block, ...]:
    found = []
    for height, name in enumerate(names, start):
        found.append(Block(height, name, parent))
        parent = name
    return tuple(found)


FINAL = Block(0, "0", "genesis")
HEADS = Heads(FINAL, chain("abc"))


def test_next_block_extends() -> None:
    new = Block(4, "d", "c")
    assert follow_branch(HEADS, (new,)) == Extended(Heads(FINAL, chain("abcd")), None)
    assert follow_branch(Heads(FINAL), chain("a")) == Extended(Heads(FINAL, chain("a")), None)


def test_known_tip_changes_nothing() -> None:
    assert follow_branch(HEADS, (HEADS.tip,)) == Extended(HEADS, None)


def test_known_block_below_the_tip_undoes_what_is_above() -> None:
    assert follow_branch(HEADS, (Block(2, "b", "a"),)) == Extended(Heads(FINAL, chain("ab")), 2)
    assert follow_branch(HEADS, (FINAL,)) == Extended(Heads(FINAL), 0)
    assert follow_branch(Heads(FINAL), (FINAL,)) == Extended(Heads(FINAL), None)


def test_other_branch_needs_parents_down_to_the_fork_point() -> None:
    branch = chain("xyz", 2, "a")
    assert follow_branch(HEADS, branch[2:]) == NeedParent(3, "y")
    assert follow_branch(HEADS, branch[1:]) == NeedParent(2, "x")
    assert follow_branch(HEADS, branch) == Extended(Heads(FINAL, (*chain("a"), *branch)), 1)


def test_parents_shared_with_the_old_branch_are_not_undone() -> None:
    branch = (*chain("ab"), Block(3, "z", "b"))
    assert follow_branch(HEADS, branch) == Extended(Heads(FINAL, branch), 2)


def test_gap_needs_parents() -> None:
    assert follow_branch(HEADS, (Block(9, "i", "h"),)) == NeedParent(8, "h")


def test_branch_without_the_final_block_is_an_alarm() -> None:
    assert follow_branch(HEADS, chain("x", 1, "other")) == FinalChanged(FINAL, Block(1, "x", "other"))
    other = Block(0, "other", "genesis")
    assert follow_branch(HEADS, (other,)) == FinalChanged(FINAL, other)


def test_head_below_the_final_block_says_nothing() -> None:
    heads = raise_final(HEADS, 2)
    assert follow_branch(heads, chain("a")) == Extended(heads, None)


def test_final_height_moves_up_only_over_known_blocks() -> None:
    assert raise_final(HEADS, 2) == Heads(Block(2, "b", "a"), (Block(3, "c", "b"),))
    assert raise_final(HEADS, 0) == HEADS
    assert raise_final(HEADS, 9) == HEADS
    assert raise_final(raise_final(HEADS, 2), 1) == raise_final(HEADS, 2)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), max_size=12))
def test_follower_ends_on_the_providers_branch_and_keeps_what_is_shared(moves: list[tuple[int, int]]) -> None:
    provider, heads, number = [FINAL], Heads(FINAL), 0
    for back, more in moves:
        del provider[max(1, len(provider) - back) :]
        for _ in range(more):
            number += 1
            provider.append(Block(len(provider), f"n{number}", provider[-1].hash))
        branch: tuple[Block, ...] = (provider[-1],)
        while isinstance(step := follow_branch(heads, branch), NeedParent):
            branch = (provider[step.height], *branch)
        assert isinstance(step, Extended)
        shared = sum(1 for old, new in zip(heads.above, provider[1:], strict=False) if old == new)
        assert step.fork == (shared if shared < len(heads.above) else None)
        heads = step.heads
        assert [heads.final, *heads.above] == provider
