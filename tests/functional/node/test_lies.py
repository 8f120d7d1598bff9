"""Every way in which a master with the network's true keys can lie to a node, and what the node says, keeps and does then."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import zstandard

from ledger.core.keys import PrivateKey
from ledger.core.tiles import frame
from tests.conformance import check_evidence
from tests.support.forgery import Forgery, rewritten
from tests.support.liar import Endless
from tests.support.live import ledger_cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.functional.node.stage import Stage, Victims


STRANGER = PrivateKey(b"stranger" * 4)
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Lie:
    """What is shown, and what must come of it: code, finding and words of the problem, what the evidence proves to others."""

    tell: Callable[[Stage], None]
    code: str
    finding: str
    words: str
    proof: str = "^signed: a tree of size"
    exit: int = 3


def truncated(stage: Stage) -> None:
    whole = stage.log.fork().sites("a", "b", "c")
    stage.liar.honest(whole)
    stage.liar.entries = whole.entries[:-1]


def altered(stage: Stage) -> None:
    whole = stage.log.fork().sites("a", "b", "c")
    stage.liar.honest(whole)
    stage.liar.entries = [*whole.entries[:-2], rewritten(whole.entries[-2]), whole.entries[-1]]


def swapped(stage: Stage) -> None:
    whole = stage.log.fork().sites("a", "b", "c")
    stage.liar.honest(whole)
    stage.liar.entries = [*whole.entries[:-3], whole.entries[-2], whole.entries[-3], whole.entries[-1]]


def left_out(stage: Stage) -> None:
    whole = stage.log.fork().sites("a", "b", "c")
    stage.liar.honest(whole)
    stage.liar.entries = [*whole.entries[:-2], whole.entries[-1], whole.entries[-1]]


def wrong_key(stage: Stage) -> None:
    stage.liar.honest(stage.log.fork().sites("a"))
    stage.liar.note = stage.liar.log.note(key=STRANGER)


def other_network(stage: Stage) -> None:
    stage.liar.honest()
    stage.liar.note = stage.log.note().replace(stage.log.root.origin.encode(), b"ledger.internal/other/0123456789abcdef")


def hidden_root(stage: Stage) -> None:
    listed = {"vkey": stage.log.vkey(STRANGER), "until": None}
    body = stage.log.next_root(log_keys=[*stage.log.root.body["log_keys"], listed])  # type: ignore[misc] # a list
    stage.liar.honest(stage.log.fork().sites("a", "b"))
    stage.liar.roots = {stage.log.root.version + 1: body}
    stage.liar.note = stage.liar.log.note(key=STRANGER)


def junk(stage: Stage) -> None:
    stage.liar.lies = {"/checkpoint": (200, {}, b"no note at all\n")}


def endless_checkpoint(stage: Stage) -> None:
    stage.liar.lies = {"/checkpoint": (200, {}, Endless(b"x" * MIB))}


def endless_entries(stage: Stage) -> None:
    stage.liar.honest(stage.log.fork().sites("a"))
    stage.liar.lies = {"/v1/entries": (200, {}, Endless(b"x" * MIB))}


def bomb(stage: Stage) -> None:
    stage.liar.honest(stage.log.fork().sites("a"))
    stage.liar.lies = {"/v1/entries": (200, {"Content-Encoding": "zstd"}, zstandard.compress(bytes(256 * MIB)))}


def unasked_coding(stage: Stage) -> None:
    stage.liar.honest(stage.log.fork().sites("a"))
    stage.liar.lies = {"/v1/entries": (200, {"Content-Encoding": "gzip"}, frame([b"x"]))}


NOTHING = ""
VOID_CODES = ["bad-signature", "not-allowed", "not-allowed", "conflict", "version-mismatch", "format"]
REFUSED = {
    "truncated": Lie(truncated, "bad-source", "truncated-entries", r"its entries \d+ to \d+ cannot be had"),
    "altered": Lie(altered, "bad-source", "other-entries", "it cannot show the tree of its note"),
    "swapped": Lie(swapped, "bad-source", "other-entries", "it cannot show the tree of its note"),
    "left-out": Lie(left_out, "bad-source", "other-entries", "it cannot show the tree of its note"),
    "wrong-key": Lie(wrong_key, "bad-source", "wrong-key", "no log key that is open at size", "^nothing", 1),
    "other-network": Lie(other_network, "bad-source", "other-network", "of another origin", "^nothing", 1),
    "hidden-root": Lie(
        hidden_root, "bad-source", "root-not-in-log", "its entries lack a root that came with it", "^signed: a root that lists"
    ),
    "junk": Lie(junk, "format", "no-checkpoint", "", NOTHING),
    "endless-checkpoint": Lie(endless_checkpoint, "too-large", "endless-answer", "more than the limit", NOTHING),
    "endless-entries": Lie(endless_entries, "bad-source", "endless-answer", "cannot be had: the server answers with more than the limit"),
    "bomb": Lie(bomb, "bad-source", "compression-bomb", "cannot be had: the server answers with more than the limit"),
    "unasked-coding": Lie(unasked_coding, "bad-source", "unasked-coding", "cannot be had: the server answers in a coding"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_made_good_is_refused_and_the_honest_master_followed_again(stage: Stage, name: str) -> None:
    lie = REFUSED[name]
    await asyncio.to_thread(lie.tell, stage)
    problem = await stage.sync()
    assert (problem.get("code"), problem.get("finding")) == (lie.code, lie.finding), problem
    assert re.search(lie.words, str(problem["detail"])), problem
    status = await stage.status()
    assert (status["size"], status["alarms"], status["ready"]) == (stage.log.size, [], True)
    if lie.proof == NOTHING:
        assert not await asyncio.to_thread(stage.cases)
    else:
        case = await stage.case("bad-source-")
        code, said = stage.proven(case)
        assert re.search(lie.words, case["reason"])
        assert case["finding"] == lie.finding
        assert code == lie.exit, said
        assert any(re.search(lie.proof, line) for line in said), said
    await stage.follows_again(stage.liar.log)


# -- two logs under the true keys ------------------------------------------------------------------------------------


def dropped(log: Forgery) -> Forgery:
    return Forgery(log.keys).log(*log.entries[:-4], *log.entries[-3:]).sites("later", "latest")


def reordered(log: Forgery) -> Forgery:
    return Forgery(log.keys).log(*log.entries[:-4], log.entries[-3], log.entries[-4], *log.entries[-2:]).sites("later")


def forged(log: Forgery) -> Forgery:
    return Forgery(log.keys).log(*log.entries[:-4], rewritten(log.entries[-4]), *log.entries[-3:]).sites("later")


def inserted(log: Forgery) -> Forgery:
    old = log.fork(-4)
    return old.log(old.site("slipped-in"), *log.entries[-4:]).sites("later")


def same_size(log: Forgery) -> Forgery:
    return log.fork(-1).sites("another")


def smaller(log: Forgery) -> Forgery:
    return log.fork(-3).sites("another")


SPLITS = {
    "smaller": (smaller, "smaller-tree", "two trees of size {}", 2),
    "dropped": (dropped, "dropped-entry", "entry {} is missing", 4),
    "reordered": (reordered, "reordered-entries", "from entry {} on the entries stand in another order", 4),
    "rewritten": (forged, "rewritten-entry", "entry {} is another one", 4),
    "inserted": (inserted, "inserted-entry", "an entry was put in at {}", 4),
    "same-size": (same_size, "second-tree", "two trees of size {}", 0),
}


@pytest.mark.parametrize("name", SPLITS)
async def test_second_log_stops_the_sync_with_a_proof_for_others_until_a_root_continues_the_first(stage: Stage, name: str) -> None:
    tell, finding, words, before_end = SPLITS[name]
    stage.liar.honest(tell(stage.log))
    problem = await stage.sync()
    expected = words.format(stage.log.size - before_end)
    assert (problem.get("code"), problem.get("finding")) == ("split-view", finding), problem
    assert expected in str(problem["detail"])
    case = await stage.case()
    code, said = stage.proven(case)
    assert code == 0, said
    assert said[0].startswith("split view: "), said
    status = await stage.status()
    ((alarm,), size) = status["alarms"], status["size"]
    assert (alarm["kind"], alarm["finding"], alarm["reason"], size) == ("split-view", case["finding"], case["reason"], stage.log.size)
    assert (await stage.read("/v1/policies?kind=site"))["policies"]
    stage.liar.honest(stage.log.fork().sites("not-taken-while-stopped"))
    told = await stage.sync()
    assert told.get("entries") == 0, told
    await stage.follows_again(stage.log.renewed())
    assert (await stage.status())["alarms"] == []


async def test_third_party_checks_the_file_with_a_script_of_its_own(stage: Stage) -> None:
    stage.liar.honest(dropped(stage.log))
    assert (await stage.sync()).get("code") == "split-view"
    await stage.case()
    (path,) = await asyncio.to_thread(lambda: list((stage.node.home / "evidence").glob("*.json")))
    case = path.read_text()
    assert await asyncio.to_thread(run_check, path, stage.log.trusted) == (
        0,
        f"split view: entry {stage.log.size - 4} of one log is two entries",
    )
    assert (await asyncio.to_thread(run_check, path, [stage.log.vkey(STRANGER)]))[0] == 1
    receipt = json.loads(case)["receipts"][0]
    spoiled = base64.b64encode(base64.b64decode(receipt).replace(b"\nindex ", b"\nindex 1")).decode()
    path.write_text(case.replace(receipt, spoiled))
    assert (await asyncio.to_thread(run_check, path, stage.log.trusted))[0] == 1
    await stage.follows_again(stage.log.renewed())


def run_check(path: Path, keys: list[str]) -> tuple[int, str]:
    """Return the exit code of the script and its first line."""
    ran = subprocess.run([sys.executable, check_evidence.__file__, path, *keys], capture_output=True, text=True, check=False)
    return ran.returncode, (ran.stdout or ran.stderr).splitlines()[0]


async def test_smaller_tree_with_a_later_time_is_a_rollback_until_a_root_drops_the_clock_key(stage: Stage) -> None:
    stage.liar.note = stage.log.note(size=-2, seconds=2)
    problem = await stage.sync()
    assert (problem.get("code"), problem.get("finding")) == ("rollback", "clock-went-back"), problem
    code, said = stage.proven(await stage.case())
    assert code == 0, said
    assert said[0].startswith("rollback: size"), said
    (alarm,) = (await stage.status())["alarms"]
    assert alarm["kind"] == "rollback"
    await stage.follows_again(stage.log.renewed())
    assert (await stage.status())["alarms"] == []


async def test_smaller_tree_that_was_once_true_is_only_behind(stage: Stage) -> None:
    _, _, old = stage.liar.answer("/checkpoint")
    later = stage.log.fork().sites("later")
    stage.liar.honest(later)
    assert (await stage.sync())["size"] == later.size
    stage.liar.note = old
    report = await stage.sync()
    assert "notes" in report, report
    assert "the source is behind" in report["notes"][0]
    assert (await stage.status())["alarms"] == []
    await stage.follows_again(later)


# -- lies that change nothing, and are told --------------------------------------------------------------------------


async def test_frozen_checkpoint_makes_answers_stale_until_the_clock_line_moves(own_stage: Stage) -> None:
    stage = own_stage
    brief = stage.log.fork()
    brief.log(brief.next_root(stale_after=2))
    stage.liar.honest(brief)
    stage.liar.note = brief.note()
    assert (await stage.sync())["size"] == brief.size
    assert (await stage.read("/v1/policies?kind=site"))["stale"] is False
    await asyncio.sleep(3.1)
    await stage.sync()
    answer = await stage.read("/v1/policies?kind=site")
    assert (answer["stale"], "older than 2 s" in answer["remark"]) == (True, True)
    status = await stage.status()
    assert (status["freshness"], status["finding"], status["ready"]) == ("stale", "frozen", False)
    await stage.follows_again(brief)
    assert (await stage.status())["freshness"] == "fresh"


async def test_void_entries_are_passed_over_told_and_kept(stage: Stage) -> None:
    log, member = stage.log, stage.log.keys["member"]
    before = (await stage.status())["void"]["count"]
    lies = log.fork()
    lies.log(rewritten(log.site("forged")))
    lies.log(log.signed("site", "site-stranger", {"name": "stranger"}, STRANGER))
    lies.log(log.signed("permissions", "permissions.all", {"name": "permissions.all", "allow": [], "grant": []}, member))
    lies.log(log.signed("site", "site-elsewhere", {"name": "elsewhere"}, member, ledger="0" * 64))
    lies.log(log.entries[-4])
    lies.log(b"no entry at all")
    lies.sites("true")
    stage.liar.honest(lies)
    assert (await stage.sync())["size"] == lies.size
    case = await stage.case(f"void-{log.size + 5}")
    assert case["reason"].startswith(f"entry {log.size + 5} is void: ")
    cases = await asyncio.to_thread(stage.cases)
    assert set(cases) == {f"void-{log.size + number}" for number in range(6)}
    assert len({one["reason"].partition(": ")[2] for one in cases.values()}) >= 5
    assert [cases[f"void-{log.size + number}"]["finding"] for number in range(6)] == VOID_CODES
    for index, one in cases.items():
        code, said = stage.proven(one)
        assert code == 3, said
        assert any(line.startswith(f"logged: entry {index.removeprefix('void-')},") for line in said), said
    status = await stage.status()
    assert (status["void"]["count"] - before, status["void"]["last"]["index"], status["alarms"]) == (6, log.size + 5, [])
    names = {one["site"].get("name") for one in (await stage.read("/v1/policies?kind=site"))["policies"]}
    assert "true" in names
    assert names.isdisjoint({"forged", "stranger", "elsewhere"})
    told = stage.node.events("void-entries")[-1]
    assert (told["count"], told["index"]) == (6, log.size)
    await stage.follows_again(lies)


async def test_wrong_state_root_in_a_mark_is_an_alarm_that_voids_and_stops_nothing(own_stage: Stage) -> None:
    stage = own_stage
    lies = stage.log.fork()
    lies.log(lies.next_root(state_every=1))
    size = lies.size
    true = lies.state.state_root()
    lies.log(lies.mark({"size": size, "root": true})).sites("between")
    lies.log(lies.mark({"size": size + 1, "root": "0" * 64})).sites("after")
    stage.liar.honest(lies)
    assert (await stage.sync())["size"] == lies.size
    case = await stage.case()
    assert case["reason"] == f"the mark at {size + 2} has a state root for size {size + 1} that is not the state's"
    assert [one["whose"] for one in case["hashes"]] == ["replica", "source"]
    assert (case["hashes"][0]["root"] != true, case["hashes"][1]["root"]) == (True, "0" * 64)
    code, said = stage.proven(case)
    assert code == 3, said
    assert any(line.startswith(f"logged: entry {size + 2},") for line in said), said
    status = await stage.status()
    assert [(one["finding"], one["reason"]) for one in status["alarms"]] == [("wrong-state-root", case["reason"])]
    assert (status["ready"], status["void"]["count"]) == (True, 0)
    assert case["reason"] in (await stage.read("/v1/policies?kind=site"))["remark"]
    await stage.follows_again(lies)
    await asyncio.to_thread(stage.node.stop)
    shown = json.loads((await asyncio.to_thread(ledger_cli, stage.node.home, "status", "-o", "json")).stdout)
    assert (shown["state"], [one["finding"] for one in shown["alarms"]]) == ("alarm", ["wrong-state-root"])
    await asyncio.to_thread(stage.start)
    assert [one["kind"] for one in (await stage.status())["alarms"]] == ["state-root"]


async def test_unknown_fold_stops_there_and_what_is_held_is_served_as_stale(own_stage: Stage) -> None:
    stage = own_stage
    later = stage.log.fork()
    later.log(later.next_root(fold=2))
    size = later.size
    later.entries += [b"by rules nobody here knows"]
    stage.liar.honest(later)
    await stage.sync()
    status = await stage.status()
    assert "fold 2" in str(status["halted"])
    assert status["finding"] == "unknown-fold"
    assert (status["size"], status["ready"]) == (size, False)
    answer = await stage.read("/v1/policies?kind=site")
    assert (answer["stale"], "fold 2" in answer["remark"]) == (True, True)
    assert {one["site"].get("name") for one in answer["policies"]} >= {f"before-{number}" for number in range(4)}


async def test_whole_log_of_another_network_is_refused_by_a_node_that_holds_nothing(victims: Victims, fresh_stage: Stage) -> None:
    stage = fresh_stage
    other = Forgery(victims.log.keys)
    body = {**victims.log.fork(1).root.body, "name": "other"}
    other.log(other.signed("root", "root", body, other.keys["admin"], by="root", prev=None, ledger=""))
    stage.liar.honest(other)
    await asyncio.to_thread(stage.node.start)
    problem = await stage.sync()
    assert (problem.get("code"), problem.get("finding")) == ("bad-source", "no-known-root"), problem
    assert stage.proven(await stage.case("bad-source-"))[0] == 3
    await stage.follows_again(victims.log)


async def test_node_answers_while_its_master_dribbles_and_follows_it_when_it_has_done(stage: Stage) -> None:
    stage.liar.lies = {"/checkpoint": (200, {}, Endless(b"x", pause=0.05))}
    waiting = asyncio.create_task(stage.sync())
    await asyncio.sleep(0.3)
    for _ in range(3):
        async with asyncio.timeout(2):
            assert (await stage.read("/v1/policies?kind=site"))["policies"]
    assert not waiting.done()
    stage.liar.honest()
    assert (await waiting).get("code") in {"unreachable", "format"}
    await stage.follows_again(stage.log)
