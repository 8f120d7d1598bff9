"""The fold over random logs, most of it hostile: it never raises, never touches its view, and the view keeps in step."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.canonical import encode
from ledger.core.envelope import Envelope, parse_envelope
from ledger.core.errors import LedgerError
from ledger.core.fold import Void, judge
from ledger.core.state import Accepted, DictState, Record, lookups, schema_of
from tests.support.fold_story import Story, key, member, permissions, root_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.canonical import JSONObject

KIND_OF = {
    "t1": "thing",
    "t2": "thing",
    "n1": "node",
    "n2": "node",
    "p1": "permissions",
    "p2": "permissions",
    "m1": "member",
    "m2": "member",
} | {"i1": "invite", "i2": "invite", "a1": "assignment", "a2": "assignment", "s1": "schema", "s2": "schema", "root": "root", "mark": "mark"}
IDS = sorted(KIND_OF)
AUTHORS = ["root", "root", "m1", "m1", "m2", "i1", "mark", "stranger"]
KEYS = {key(name).public.text: name for name in ("m1", "m2", "k3", "k4", "i1")}
REFS: list[Any] = [{"attr": "on", "kind": "node", "drop": "refuse"}, {"attr": "by", "kind": "member", "drop": "keep"}]
SETS = st.lists(st.sampled_from(IDS), max_size=3, unique=True)
NAMES = st.sampled_from(["n1", "n2", "m1"])
PLAIN = st.fixed_dictionaries(
    {}, optional={"n": st.sampled_from([1, "1", True, None, [1]]), "on": SETS | st.sampled_from(IDS), "by": st.sampled_from(IDS)}
)
SCOPES = st.sampled_from([{}, {"own": True}, {"attr": {"type": ["user"]}}, {"own": True, "attr": {"n": ["1"]}}])
BODIES: dict[str, st.SearchStrategy[Any]] = {
    "thing": PLAIN,
    "node": PLAIN,
    "permissions": st.builds(
        lambda kinds, grant, scope: {
            **permissions("p", kinds, grant),
            "allow": [{"ops": ["put", "patch", "drop"], "kinds": kinds, "scope": scope}],
        },
        st.lists(st.sampled_from(["*", "thing", "node", "member", "invite", "assignment"]), max_size=4, unique=True),
        SETS,
        SCOPES,
    ),
    "member": st.builds(
        lambda name, names, owner: member(name, *names, key_of=owner), NAMES, SETS, st.sampled_from(["m1", "m2", "k3", "i1"])
    ),
    "invite": st.builds(
        lambda names, owner: member("n3", *names, key_of=owner, expires="2027-01-01T00:00:00Z"), SETS, st.sampled_from(["i1", "k4"])
    ),
    "assignment": st.fixed_dictionaries({"members": SETS, "permissions": SETS}),
    "schema": st.builds(
        lambda kind, unique, refs: {"kind": kind, "unique": unique, "refs": refs},
        st.sampled_from(["thing", "node"]),
        st.sampled_from([[], [["n"]], [["n", "on"]]]),
        st.sampled_from([[], REFS]),
    ),
    "root": st.builds(
        lambda version, every: root_body(version=version, state_every=every), st.sampled_from([0, 0, 0, 2]), st.integers(1, 3)
    ),
    "mark": st.builds(
        lambda day, size: {"time": f"202{day}-01-01T00:00:00Z", "state": None if size is None else {"size": size, "root": "0" * 64}},
        st.integers(6, 9),
        st.none() | st.integers(0, 40),
    ),
}


Action = tuple[str, str, "JSONObject | None", str, str]


@st.composite
def actions(draw: st.DrawFn) -> Action:
    """Return op, kind/id, body, author and a second signer of one statement that may or may not make sense."""
    policy_id = draw(st.sampled_from(IDS))
    kind = KIND_OF[policy_id] if draw(st.integers(0, 9)) else draw(st.sampled_from(sorted(set(KIND_OF.values()))))
    op = draw(st.sampled_from(["put", "put", "put", "patch", "drop"]))
    body = None if op == "drop" else draw(BODIES[kind])
    author = "mark" if kind == "mark" else draw(st.sampled_from(AUTHORS))
    second = draw(st.sampled_from(["", "", "", "m1", "k3", "root"]))
    if kind in ("root", "mark"):
        policy_id = kind
    elif policy_id in ("root", "mark"):
        policy_id = "t1"
    return op, f"{kind}/{policy_id}", body, author, second


class Everything:
    """A view whose look-ups find every live id: the fold has to confirm each by its body."""

    def __init__(self, state: DictState) -> None:
        self._state = state
        self.network = state.network
        self.record = state.record
        self.key = state.key
        self.of_kind = state.of_kind
        self.remember = state.remember

    def filed(self, lookup: str) -> Iterable[str]:
        """Return every id there is, live or not, and one that is not."""
        assert lookup
        return ["nowhere", *(record.id for record in self._state.records())]


def beginning() -> Story:
    """Return a network with two members that have rights, an invite and a schema."""
    story = Story("random")
    story.ok("root", "put", "root/root", root_body())
    story.ok("p1", "put", "permissions/p1", permissions("p1", ["*", "member", "invite", "assignment"], ["p1", "p2"]))
    story.ok("m1", "put", "member/m1", member("m1", "p1"), "root", "m1")
    story.ok("i1", "put", "invite/i1", member("i", "p1", key_of="i1", expires="2027-01-01T00:00:00Z"), "m1", "i1")
    story.ok("s1", "put", "schema/s1", {"kind": "thing", "unique": [["n"]], "refs": REFS})
    return story


def frozen(state: DictState) -> tuple[Any, ...]:
    """Return all that a DictState holds, as values."""
    return (
        state.network,
        state.state_root(),
        sorted(state._filed_as.items()),
        sorted((name, sorted(ids)) for name, ids in state._filed.items()),
    )


def signed(story: Story, action: Action) -> Envelope:
    """Return the action as the next statement of its id, mostly with all signatures that it needs."""
    op, where, body, author, second = action
    if author == "i1" and body is not None and where.startswith("member/"):
        body, where = member("i", "p1", key_of="k3", invite="i1"), "member/"
    last = story.state.record(where.partition("/")[2])
    op = "put" if last is None and op == "patch" else op
    if body is not None and body.get("version") == 0 and last is not None:
        body = {**body, "version": int(str(last.content["version"])) + 1}
    if where in ("root/root", "mark/mark") and op != "put":
        op, body = "drop", None
    signers = [author, second or KEYS.get(str((body or {}).get("key")), "")]
    if where == "root/root":
        signers = ["root", second]
    elif not second and last is not None and body is not None and last.content.get("key") == body.get("key"):
        signers.pop()
    return story.signed(op, where, body, *dict.fromkeys(filter(None, signers)))


def check_filing(state: DictState) -> None:
    """Every live record is filed under exactly its look-ups, as if all had been filed just now."""
    filed: dict[str, set[str]] = {}
    for record in state.records():
        schema = schema_of(state, record.kind)
        for lookup in lookups(record, schema.content if schema else None):
            filed.setdefault(lookup, set()).add(record.id)
    assert {name: set(ids) for name, ids in state._filed.items()} == filed


def check_promises(state: DictState) -> None:
    """What no log can do: two members of a name, two schemas of a kind, a live key that is bound to another."""
    live = [record for record in state.records() if record.live]
    names = Counter(str(record.content["name"]) for record in live if record.kind == "member")
    schemas = Counter(str(record.content["kind"]) for record in live if record.kind == "schema")
    assert [found for found in (*names.items(), *schemas.items()) if found[1] > 1] == []
    holders = [record for record in live if record.kind in ("member", "invite")]
    for record in holders:
        bound = [
            state.key(key(name).public.keyid) for name in ("m1", "m2", "k3", "k4", "i1") if key(name).public.text == record.content["key"]
        ]
        assert [found.id for found in bound if found is not None] == [record.id]
    assert len({encode(record.content["key"]) for record in holders}) == len(holders)


@settings(max_examples=60)
@given(st.lists(actions(), min_size=20, max_size=40))
def test_random_log_folds_alike_whatever_the_view(random: list[Action]) -> None:
    story = beginning()
    state, log = story.state, list(story.entries)
    for action in random:
        envelope = signed(story, action)
        before = frozen(state)
        outcome = judge(state, envelope, len(log))
        assert frozen(state) == before
        assert judge(state, envelope.entry, len(log)) == outcome
        assert isinstance(judge(Everything(state), envelope, len(log)), Void) is isinstance(outcome, Void)
        log.append(envelope.entry)
        if isinstance(outcome, Void):
            assert isinstance(outcome.error(), LedgerError)
            assert outcome.error().code == outcome.code
            continue
        state.apply(outcome)
        assert isinstance(judge(state, envelope, len(log)), Void)  # a statement counts once
        check_filing(state)
        check_promises(state)
    again = DictState()
    for index, entry in enumerate(log):
        outcome = judge(again, entry, index)
        if isinstance(outcome, Accepted):
            again.apply(outcome)
    assert frozen(again) == frozen(state)


@settings(max_examples=200)
@given(st.data())
def test_bent_entries_are_void_and_nothing_else(data: st.DataObject) -> None:
    story = BEGUN
    entry = story.signed("put", "thing/a", {"n": 1}, "m1").entry
    at = data.draw(st.integers(0, len(entry) - 1))
    bent = entry[:at] + data.draw(st.binary(max_size=3)) + entry[at + data.draw(st.integers(0, 3)) :]
    outcome = judge(story.state, bent, 5)
    assert isinstance(outcome, Void) or bent == entry
    junk = data.draw(st.binary(max_size=200))
    assert isinstance(judge(story.state, junk, 5), Void)


def test_unchanged_entry_is_accepted() -> None:
    entry = BEGUN.signed("put", "thing/a", {"n": 1}, "m1").entry
    outcome = judge(BEGUN.state, parse_envelope(entry), 5)
    assert isinstance(outcome, Accepted)
    assert [type(record) for record in outcome.records] == [Record]


BEGUN = beginning()
