"""The rules of the house, over every file of the checkout (CONTRIBUTING.md lists them)."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib

import pytest

from tests.support import house
from tests.support.house import ROOT, Module
from tests.support.tiers import FOLDERS
from tests.support.weight import closure, requirements

PRODUCT = house.modules(*house.PACKAGES)
EVERYTHING = [*PRODUCT, *house.modules("tests")]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# The runtime budget: each line of it has an ADR line with its weight (docs/adr/0006-dependencies.md).
DIRECT = {
    "aiohttp", "apsw", "click", "cryptography", "google-re2", "jsonschema", "orjson", "prometheus-client", "psutil",
    "pyjwt", "pynacl", "pyopenssl", "rfc8785", "uvloop", "zstandard",
}  # fmt: skip
INDIRECT = {
    "aiohappyeyeballs", "aiosignal", "attrs", "cffi", "frozenlist", "idna", "jsonschema-specifications", "multidict", "propcache",
    "pycparser", "referencing", "rpds-py", "typing-extensions", "yarl",
}  # fmt: skip

FOREIGN_NAMES = {
    "ledger/client/sse.py: data",  # the field's name in the SSE specification
    "ledger/http/transport.py: handle_error",  # the method's name in aiohttp
}
OTHER_TOPICS = {"docs", "docker", "tests", ".ci"}
SOURCE_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".lock",
    ".cfg",
    ".yml",
    ".yaml",
    ".json",
    ".sh",
    ".go",
    ".mod",
    ".html",
    ".js",
    ".css",
    ".txt",
    "",
}
STAND_IN_LINES = 2_500  # of tests/support/fabric-peer, its own tests left out: what takes more is no stand-in any more
MACHINE = re.compile(r"(?:^|[^A-Za-z0-9_.])/(?:work|farm|root)/")
REGISTRIES = re.compile(
    "|".join(re.escape(".".join(p)) for p in (("pypi", "org"), ("pythonhosted", "org"), ("proxy", "golang", "org"), ("npmjs", "org")))
)
EXEMPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b(?P<rest>.*)")
DOUBLES = re.compile(r"unittest\.mock|MagicMock|monkeypatch\.setattr")
SKIPS = re.compile(r"\b(?:pytest|unittest)\.(?:mark\.)?(?:skip|skipif|skipIf|xfail|importorskip|SkipTest)\b")


def tracked_texts() -> list[Module]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )  # git is there: it brought the checkout
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [Module(p.relative_to(ROOT).as_posix(), p.read_text()) for p in paths if p.is_file() and p.suffix in SOURCE_SUFFIXES]


def test_modules_are_short() -> None:
    assert [f"{m.path}: {m.lines}" for m in EVERYTHING if m.lines > house.MODULE_HARD] == []


def test_the_stand_in_peer_is_small() -> None:
    sources = [one for one in (ROOT / "tests" / "support" / "fabric-peer").rglob("*.go") if not one.name.endswith("_test.go")]
    assert 0 < sum(one.read_text().count("\n") for one in sources) <= STAND_IN_LINES


def test_bodies_are_short() -> None:
    long = [f"{m.path}:{f.lineno} {f.name}" for m in EVERYTHING for f in house.functions(m.tree) if house.body_lines(f) > house.BODY_HARD]
    assert long == []


def test_blocks_are_shallow() -> None:
    deep = [f"{m.path}:{f.lineno} {f.name}" for m in EVERYTHING for f in house.functions(m.tree) if house.depth(f) > house.NESTING]
    assert deep == []


def test_signatures_are_narrow() -> None:
    wide = [
        f"{m.path}:{f.lineno} {f.name}"
        for m in PRODUCT
        for f in house.functions(m.tree)
        if house.parameters(f) > house.PARAMETERS and not house.is_command(f)
    ]
    assert wide == []


def test_names_say_something() -> None:
    found = {f"{m.path}: {name}" for m in PRODUCT for name in house.names(m) if house.is_banned(name)}
    assert sorted(found - FOREIGN_NAMES) == []


def test_modules_hold_no_state() -> None:
    assert [f"{m.path}: {name}" for m in PRODUCT for name in house.mutable_state(m)] == []
    assert [m.path for m in PRODUCT for node in ast.walk(m.tree) if isinstance(node, ast.Global)] == []


def test_only_the_output_module_prints() -> None:
    assert [f"{m.path}:{line}" for m in PRODUCT for line in house.calls(m, "print") if m.path != "ledger/cli/output.py"] == []


def test_every_module_says_what_it_owns() -> None:
    assert [m.path for m in PRODUCT if m.text.strip() and not ast.get_docstring(m.tree)] == []


def test_every_exemption_has_a_reason() -> None:
    bare = []
    for module in EVERYTHING:
        for number, line in enumerate(module.text.splitlines(), 1):
            found = EXEMPTION.search(line)
            if found and not re.search(r"[\])A-Z0-9]\s+(?:-|#)\s*\w", found["rest"]):
                bare.append(f"{module.path}:{number}")
    assert bare == []


def test_no_test_is_skipped_and_no_double_stands_where_the_real_thing_is_asked_for() -> None:
    tests = house.modules("tests")
    assert [m.path for m in tests if SKIPS.search(m.text) and m.path != "tests/unit/test_house.py"] == []
    real = ("tests/functional/", "tests/contract/", "tests/faults/", "tests/chains/", "tests/docker/")
    assert [m.path for m in tests if m.path.startswith(real) and DOUBLES.search(m.text)] == []


def test_every_folder_with_tests_is_a_tier() -> None:
    assert {m.path.split("/")[1] for m in house.modules("tests") if re.search(r"/test_\w+\.py$", m.path)} <= set(FOLDERS)


def test_no_machine_and_no_registry_is_named() -> None:
    texts = tracked_texts()
    assert {t.path for t in texts} >= {"Makefile", "pyproject.toml", ".ci/run"}
    own = {"tests/unit/test_house.py"}
    assert [t.path for t in texts if t.path not in own and (MACHINE.search(t.text) or REGISTRIES.search(t.text))] == []


def test_lock_files_hold_hashes_and_no_address() -> None:
    locks = sorted(ROOT.glob("requirements*.lock"))
    kinds = ("-build", "-core", "-demo", "-ethereum", "-extras", "-uv", "")
    assert [lock.name for lock in locks] == [f"requirements{kind}.lock" for kind in kinds]
    for lock in locks:
        entries = re.split(r"\n(?=[a-z0-9])", lock.read_text())
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        assert "://" not in lock.read_text()
        assert "index" not in lock.read_text()


def test_links_of_the_documentation_lead_somewhere() -> None:
    pages = [text for text in tracked_texts() if text.path.endswith(".md")]
    links = [(page.path, link) for page in pages for link in re.findall(r"\]\(([^)\s#]+)", page.text) if "://" not in link]
    assert [f"{path}: {link}" for path, link in links if not (ROOT / path).parent.joinpath(link).exists()] == []


def test_every_subpackage_has_its_layer() -> None:
    layers = next(c["layers"] for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    named = {name for line in layers for name in re.split(r"\s*\|\s*", line)}
    inner = {
        f"ledger.{p.name}"
        for p in (ROOT / "ledger").iterdir()
        if (p / "__init__.py").exists() or (p.suffix == ".py" and p.stem != "__init__")
    }
    assert inner | (set(house.PACKAGES) - {"ledger"}) == named


def test_the_core_installation_is_what_the_budget_says() -> None:
    assert set(requirements("metaledger")) == DIRECT
    assert closure("metaledger") - DIRECT <= INDIRECT


@pytest.mark.parametrize("folder", house.PACKAGES)
def test_each_package_is_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").exists()


def test_the_top_level_is_fixed() -> None:
    folders = {t.path.split("/")[0] for t in tracked_texts() if "/" in t.path}
    assert folders - {".github"} == {*house.PACKAGES, *OTHER_TOPICS} & folders
