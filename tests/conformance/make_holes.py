"""make_holes.py: write vectors/fold1/holes*.json, cases that FORMATS 1 to 8 leave easy to read in two ways.

Run as `python -m tests.conformance.make_holes` from the top of the repository. Each case states its verdict by hand;
nothing is written when the fold disagrees.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.core.canonical import dump
from ledger.core.statement import derive_id
from tests.support.fold_story import IAT, Story, member, permissions, root_body, sign_payload

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject

HERE = Path(__file__).parent / "vectors" / "fold1"


def rights(story: Story) -> None:
    """Right and grant may come from different permissions; what is involved where."""
    story.ok(
        "permissions: right on assignments and members, no grant",
        "put",
        "permissions/right",
        permissions("right", ["assignment", "member"], []),
    )
    story.ok("permissions: grants g1", "put", "permissions/g1", permissions("g1", [], ["g1"]))
    story.ok("permissions: grants g2", "put", "permissions/g2", permissions("g2", [], ["g2"]))
    story.ok("member with all three", "put", "member/olga", member("olga", "right", "g1", "g2"), "root", "olga")
    story.ok(
        "grant: each id in another permission than the right and the other id",
        "put",
        "assignment/a1",
        {"members": [], "permissions": ["g1", "g2"]},
        "olga",
    )
    story.ok(
        "assignment: no permissions, members that are no ids of members",
        "put",
        "assignment/a2",
        {"members": ["root", "mark", "g1"], "permissions": []},
        "olga",
    )
    story.ok("assignment by root of what olga may not grant", "put", "assignment/a3", {"members": ["olga"], "permissions": ["right"]})
    story.no("drop of an assignment: its permissions are involved", "drop", "assignment/a3", None, "olga")
    story.ok("assignment by root with an id that is no permission", "put", "assignment/a4", {"members": ["olga"], "permissions": ["p9"]})
    story.no("drop of it: an id is involved though it is no live permission", "drop", "assignment/a4", None, "olga")
    story.ok("drop of an assignment inside the grant", "drop", "assignment/a1", None, "olga")
    story.ok(
        "and back by put: a return involves the body after only", "put", "assignment/a1", {"members": [], "permissions": ["g2"]}, "olga"
    )
    story.ok("member by right and grant", "put", "member/pat", member("pat", "g1"), "olga", "pat")
    story.no("member itself: the right on members does not let it change its name", "patch", "member/olga", {"name": "olive"}, "olga")
    story.ok("member itself: a patch that changes nothing", "patch", "member/olga", {}, "olga")
    story.no("root gives a member a taken name", "patch", "member/pat", {"name": "olga"})
    story.ok("root gives a member another name", "patch", "member/pat", {"name": "patricia"})
    story.ok("and the old name is free", "put", "member/pat2", member("pat", "g1", key_of="pat2"), "olga", "pat2")


def marks(story: Story) -> None:
    """Time in the fold when a root lets it go back."""
    story.ok("mark: late", "put", "mark/mark", {"time": "2030-01-01T00:00:00Z", "state": None}, "mark")
    story.ok(
        "invite that is expired at once", "put", "invite/i1", member("ivy", "g1", key_of="i1", expires="2029-01-01T00:00:00Z"), "root", "i1"
    )
    body = member("ivy", "g1", invite="i1")
    story.no("join: expired", "put", "member/", body, "i1", "ivy")
    story.ok("root version 2", "put", "root/root", root_body(version=2))
    story.no("join: still expired, a root is no mark", "put", "member/", body, "i1", "ivy")
    story.ok("mark: back after the root", "put", "mark/mark", {"time": "2028-01-01T00:00:00Z", "state": None}, "mark")
    story.ok("join: not expired by the time that the log tells now", "put", "member/", body, "i1", "ivy")
    story.no(
        "the id of a spent invite never comes back",
        "put",
        "invite/i1",
        member("ivy2", "g1", key_of="i2", expires="2029-01-01T00:00:00Z"),
        "root",
        "i2",
    )


def schemas(story: Story) -> None:
    """Schemas that move, and what they bind."""
    story.ok("schema for tab", "put", "schema/s1", {"kind": "tab", "unique": [["n"]], "refs": []})
    story.ok("tab 1", "put", "tab/t1", {"n": 1})
    story.no("tab 2 with the same value", "put", "tab/t2", {"n": 1})
    story.ok("tub 1, of no schema", "put", "tub/u1", {"n": 1})
    story.ok("tub 2, the same value", "put", "tub/u2", {"n": 1})
    story.ok("the schema moves to tub", "patch", "schema/s1", {"kind": "tub"})
    story.ok("tab is free", "put", "tab/t2", {"n": 1})
    story.no("tub is bound, by values that stood there before", "put", "tub/u3", {"n": 1})
    story.ok("tub 2 changes another attribute", "patch", "tub/u2", {"x": {"b": None, "c": {"d": None}}})
    story.ok("and the same by a put: null, objects and all", "put", "tub/u2", {"n": 1, "x": {"c": {}}})
    story.no("schema for tub by another id", "put", "schema/s2", {"kind": "tub", "unique": [], "refs": []})
    story.ok("schema for tab again", "put", "schema/s2", {"kind": "tab", "unique": [], "refs": []})
    story.no("a schema moves to a kind that has one", "patch", "schema/s1", {"kind": "tab"})
    story.ok("a schema goes", "drop", "schema/s2")
    story.ok("another takes its kind", "put", "schema/s3", {"kind": "tab", "unique": [], "refs": []})
    story.no("it does not come back beside that", "put", "schema/s2", {"kind": "tab", "unique": [], "refs": []})
    story.ok("it comes back for another kind", "put", "schema/s2", {"kind": "tob", "unique": [], "refs": []})
    story.ok("equal objects have one value whatever wrote them", "put", "tub/u4", {"n": {"a": 1, "b": [0.5]}})
    story.no("unique: an equal object", "put", "tub/u5", {"n": {"b": [0.5], "a": 1}})
    story.no("unique: patched into an equal object", "patch", "tub/u2", {"n": {"a": 1, "b": [0.5]}})


def references(story: Story) -> None:
    """What refers to a policy, and what holds it."""
    story.ok("permissions on leaf and twig", "put", "permissions/grow", permissions("grow", ["leaf", "twig"], []))
    story.ok("gardener", "put", "member/gus", member("gus", "grow"), "root", "gus")
    for name in ("l1", "l2", "l3", "l4", "l5", "l6"):
        story.ok(f"leaf {name}", "put", f"leaf/{name}", {}, "gus")
    story.ok("twig: names l1 before the schema", "put", "twig/w1", {"on": "l1"}, "gus")
    story.ok("twig: a list that is no set", "put", "twig/w2", {"on": ["l2", "l2", 1, ["l3"], {"l3": "l3"}]}, "gus")
    story.ok("twig: over 1,024 names", "put", "twig/w3", {"on": [*(f"x{n}" for n in range(1024)), "l4"]}, "gus")
    story.ok("twig: names a twig where a leaf belongs", "put", "twig/w4", {"on": "w5"}, "gus")
    story.ok("twig w5", "put", "twig/w5", {}, "gus")
    refs: list[Any] = [
        {"attr": "on", "kind": "leaf", "drop": "refuse"},
        {"attr": "by", "kind": "leaf", "drop": "keep"},
        {"attr": "top", "kind": "root", "drop": "keep"},
    ]
    story.ok("schema for twig", "put", "schema/sw", {"kind": "twig", "unique": [], "refs": refs})
    story.no("refuse: a reference older than the schema holds", "drop", "leaf/l1", None, "gus")
    story.no("refuse: it stands in a list, of whatever form", "drop", "leaf/l2", None, "gus")
    story.ok("no reference: it stands deeper in the list", "drop", "leaf/l3", None, "gus")
    story.no("refuse: it stands in a list of 1,025", "drop", "leaf/l4", None, "gus")
    story.ok("no reference: the policy is of another kind than refs says", "drop", "twig/w5", None, "gus")
    story.ok("twig: one kept, the root", "put", "twig/w6", {"by": ["l5"], "top": "root"}, "gus")
    story.no("twig: the mark is no root", "put", "twig/w7", {"top": "mark"}, "gus")
    story.ok("keep does not hold", "drop", "leaf/l5", None, "gus")
    story.ok("a reference is taken over", "patch", "twig/w1", {"on": ["l6", "w1"]}, "gus")
    story.ok("so the old one is free", "drop", "leaf/l1", None, "gus")
    story.no("and the new one held", "drop", "leaf/l6", None, "gus")
    story.ok("the schema forgets the reference", "patch", "schema/sw", {"refs": refs[1:]})
    story.ok("and holds it no more", "drop", "leaf/l6", None, "gus")


def numbers_and_text(story: Story) -> None:
    """Canonical JSON where libraries differ."""
    body: JSONObject = {
        "n": [4503599627370495.5, 0.30000000000000004, 0.000001, 1.5e-7, 0.00001, 123456789.12345678, 2.2250738585072014e-308, 0.1]
    }
    story.ok("numbers: the halves and the small ones", "put", "thing/n1", body)
    controls = "".join(map(chr, range(1, 32))) + '"\\/\x7f\u0080'
    story.ok("text: all controls", "put", "thing/n2", {"t": controls, controls: 1})
    story.ok(
        "names: UTF-16 order below and above", "put", "thing/n3", {"\ue000": 1, "\U00010000": 2, "\uffff": 3, "\ud7ff": 4, "z": 5, "": 6}
    )
    payload = story.signed("put", "thing/n4", {"t": "A\b\x1fZ"}, "root").payload
    for note, old, new in (
        ("text: \\u0008 for \\b", b"\\b", b"\\u0008"),
        ("text: \\u001F for \\u001f", b"\\u001f", b"\\u001F"),
        ("number: 1.0 for 1", b'"v":1', b'"v":1.0'),
        ("number: 0.1e1 for 1", b'"v":1', b'"v":0.1e1'),
        ("number: 2^53-1 by a longer name", b'"t":"A\\b\\u001fZ"', b'"t":9007199254740991.0'),
        ("number: rounds to 2^53", b'"t":"A\\b\\u001fZ"', b'"t":9007199254740991.5'),
        ("number: one digit more than it takes", b'"t":"A\\b\\u001fZ"', b'"t":0.30000000000000004441'),
        ("number: rounds to 0", b'"t":"A\\b\\u001fZ"', b'"t":1e-400'),
        ("number: exponent in capitals", b'"t":"A\\b\\u001fZ"', b'"t":1.5E-7'),
        ("number: exponent with a zero", b'"t":"A\\b\\u001fZ"', b'"t":1.5e-07'),
    ):
        story.case(note, sign_payload(payload.replace(old, new), "root"), void=True)
    story.ok("the same id, as it should be", "put", "thing/n4", {"t": "A\b\x1fZ"})


def before_root(story: Story) -> None:
    """Nothing but a root comes first, whatever it looks like."""
    story.no("a thing with the body of a root", "put", "thing/root1", root_body())
    story.no("a thing of no network, by a stranger", "put", "thing/t1", root_body(), "mark")
    story.case("root 1 with a prev", story.signed("put", "root/root", root_body(), "root", prev="0" * 64), void=True)


def look_alikes(story: Story) -> None:
    """Ids in sets need not exist, so whoever creates such an id must not gain what another kind gives."""
    story.ok("permissions on things", "put", "permissions/things", permissions("things", ["thing"], []))
    story.ok("eve names an id that is not there", "put", "member/eve", member("eve", "things", "dream"), "root", "eve")
    story.ok(
        "eve makes a thing of that id that looks like permissions",
        "put",
        "thing/dream",
        permissions("dream", ["*", "member"], ["g1"]),
        "eve",
    )
    story.no("it gives no right", "put", "plant/x", {}, "eve")
    story.no("nor any grant", "put", "member/eva", member("eva", "g1"), "eve", "eva")
    story.ok("a thing that looks like an assignment", "put", "thing/give", {"members": ["eve"], "permissions": ["right", "g1"]}, "eve")
    story.no("it gives no right either", "put", "assignment/a9", {"members": [], "permissions": ["g1"]}, "eve")
    story.ok("a thing that looks like a schema", "put", "thing/rule", {"kind": "thing", "unique": [["name"]], "refs": []}, "eve")
    story.ok("it binds nothing", "put", "thing/dream2", {"name": "dream"}, "eve")
    story.ok("a thing that looks like a member", "put", "thing/alice", member("alice", "g1"), "eve")
    story.no("its key is nobody's", "put", "thing/t9", {}, "alice")
    story.ok("and its name is free", "put", "member/alice2", member("alice", "things"), "root", "alice")
    story.ok("its key may be bound as any other: so it was", "put", "thing/t9", {}, "alice")


def returns(story: Story) -> None:
    """Members and invites come once, and an invite makes one new member, never a version of another."""
    story.no("mark key before the first mark", "put", "thing/m1", {}, "mark")
    expires = {"expires": "2040-01-01T00:00:00Z"}
    story.ok("invite j1", "put", "invite/j1", member("jo", "g1", key_of="j1", **expires), "root", "j1")
    body = member("jo", "g1", invite="j1")
    story.ok("jo joins", "put", "member/", body, "j1", "jo")
    joined = derive_id("member", body)
    story.ok("invite j2, for the same name", "put", "invite/j2", member("jo", "g1", key_of="j2", **expires), "root", "j2")
    again = member("jo", "g1", key_of="jo2", invite="j2")
    story.no("join: onto the member that is there, to take it over", "put", f"member/{joined}", again, "j2", "jo2")
    story.no("join: a patch of it", "patch", f"member/{joined}", {"key": again["key"], "invite": "j2"}, "j2", "jo2")
    story.no("join: a drop of it", "drop", f"member/{joined}", None, "j2")
    story.ok("jo goes", "drop", f"member/{joined}", None, "jo")
    story.no("join: onto the dropped member", "put", f"member/{joined}", again, "j2", "jo2")
    story.no("root brings it back with a new key, all signed", "put", f"member/{joined}", {**again, "invite": "j1"}, "root", "jo2")
    story.no("and without its invite", "put", f"member/{joined}", member("jo", "g1", key_of="jo2"), "root", "jo2")
    story.ok("invite j3", "put", "invite/j3", member("jim", "g1", key_of="j3", **expires), "root", "j3")
    story.ok("it is dropped", "drop", "invite/j3")
    story.no(
        "root brings it back with a new key, all signed", "put", "invite/j3", member("jim", "g1", key_of="j4", **expires), "root", "j4"
    )
    story.ok("join by j2 under its own id", "put", "member/", again, "j2", "jo2")


def forms(story: Story) -> None:
    """A statement is well signed and still none; an envelope spelled otherwise with signatures that hold."""
    good: dict[str, Any] = {"v": 1, "ledger": story.state.network, "op": "put", "kind": "thing", "id": "f1", "prev": None}
    good |= {"by": "root", "iat": IAT, "body": {}}
    without = {name: value for name, value in good.items() if name != "iat"}
    some: list[tuple[str, Any]] = [
        ("prev of an id that was never there", {**good, "prev": "0" * 64}),
        ("patch of an id that was never there", {**good, "op": "patch"}),
        ("v 2", {**good, "v": 2}),
        ("v 0", {**good, "v": 0}),
        ("v as text", {**good, "v": "1"}),
        ("op in capitals", {**good, "op": "PUT"}),
        ("op of another name", {**good, "op": "delete"}),
        ("put of null", {**good, "body": None}),
        ("put of a list", {**good, "body": []}),
        ("put of text", {**good, "body": "id"}),
        ("by null", {**good, "by": None}),
        ("ledger null", {**good, "ledger": None}),
        ("prev an empty text", {**good, "prev": ""}),
        ("prev false", {**good, "prev": False}),
        ("id a number", {**good, "id": 1}),
        ("id a list", {**good, "id": ["f1"]}),
        ("eight members", without),
        ("nine members, one of another name", {**without, "IAT": IAT}),
        ("ten members", {**good, "note": {}}),
        ("a list of nine", list(good.values())),
        ("a text of nine", "statement"),
    ]
    for note, value in some:
        story.case(f"statement: {note}", sign_payload(dump(value), "root"), void=True)
    story.case("statement: no bytes", sign_payload(b"", "root"), void=True)
    entry = sign_payload(dump(good), "root").entry
    for note, old, new in (
        ("first byte", b'{"payload":"', b'["payload":"'),
        ("last bytes", b'"}]}', b'"}])'),
        ("no last bytes", b'"}]}', b'"}'),
        ("keyid in another word", b'{"keyid":"', b'{"keyId":"'),
        ("sig in another word", b'","sig":"', b'","sgi":"'),
        ("end of a signature", b'"}]}', b'",]}'),
        ("type between", b'","payloadType":"', b'","payload_type":"'),
        ("space in the payload", b'{"payload":"', b'{"payload":" '),
        ("line in the payload", b'{"payload":"', b'{"payload":"\n'),
    ):
        story.case(f"envelope: {note}", entry.replace(old, new), void=True)
    two = story.signed("put", "member/fay", member("fay"), "root", "fay").entry
    story.case("envelope: semicolon between signatures", two.replace(b'"},{"', b'"};{"'), void=True)
    story.case("envelope: as it should be", two)
    story.case("statement: as it should be", entry)
    last = story.state.record("f1")
    live: dict[str, Any] = {**good, "prev": last.digest if last else None}
    for op in ("PUT", "replace", ""):
        story.case(f"statement: op {op!r} of what is live", sign_payload(dump({**live, "op": op}), "root"), void=True)


def first_root() -> None:
    """A network may begin with a root of any fold: only later roots are held to the fold before them."""
    story = Story("a first root of fold 7: accepted by the rules of fold 1, and a program that knows only fold 1 stops here")
    story.case("root 1 of fold 7", story.signed("put", "root/root", root_body(fold=7), "root"))
    story.write(HERE / "holes-first.json")


def main() -> None:
    """Write both files."""
    story = Story("cases that the text leaves easy to read in two ways")
    before_root(story)
    story.ok("root 1", "put", "root/root", root_body())
    for chapter in (rights, look_alikes, returns, forms, marks, schemas, references, numbers_and_text):
        chapter(story)
    story.write(HERE / "holes.json")
    first_root()


if __name__ == "__main__":
    main()
