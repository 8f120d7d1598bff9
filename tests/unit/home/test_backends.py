from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.errors import InternalError, MissingExtraError, UsageError
from ledger.home.backends import GROUP, find_scheme
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = """
class Scheme:
    schemes = ("toy+one", "toy+two")
    async def open(self, url, context):
        return (url.text, context)
scheme = Scheme()
no_scheme = 5
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EntryPoints:
    (tmp_path / "toy_plugin.py").write_text(PLUGIN)
    (tmp_path / "toy_without.py").write_text("import toy_library.deep\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("toy_plugin", "toy_without"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return EntryPoints(
        EntryPoint(name, value, GROUP)
        for name, value in {
            "toy": "toy_plugin:scheme",
            "broken": "toy_plugin:no_scheme",
            "heavy": "toy_without:scheme [chains]",
            "light": "toy_without:scheme",
            "ours": "ledger.home.absent:scheme",
        }.items()
    )


async def test_a_scheme_is_found_by_its_family(plugins: EntryPoints) -> None:
    url = parse_ledger_url("toy+two://host")
    context: Any = object()
    assert await find_scheme(url, plugins).open(url, context) == ("toy+two://host", context)  # type: ignore[comparison-overlap]  # a toy


def test_an_unknown_scheme_names_the_nearest(plugins: EntryPoints) -> None:
    with pytest.raises(UsageError, match="no backend serves heavi://") as caught:
        find_scheme(parse_ledger_url("heavi://host"), plugins)
    assert caught.value.hint == "Did you mean heavy?"
    with pytest.raises(UsageError) as caught:
        find_scheme(parse_ledger_url("toy://host"), plugins)
    assert caught.value.hint == "Write toy+one:// or toy+two://"


def test_a_missing_library_says_what_to_install(plugins: EntryPoints) -> None:
    with pytest.raises(MissingExtraError, match="need toy_library") as caught:
        find_scheme(parse_ledger_url("heavy://host"), plugins)
    assert caught.value.hint == 'Install it: pip install "metaledger[chains]"'
    with pytest.raises(MissingExtraError) as caught:
        find_scheme(parse_ledger_url("light://host"), plugins)
    assert caught.value.hint == "Install toy_library."


def test_a_module_of_ours_that_is_missing_is_a_bug(plugins: EntryPoints) -> None:
    with pytest.raises(ModuleNotFoundError):
        find_scheme(parse_ledger_url("ours://host"), plugins)
    with pytest.raises(InternalError, match="names no backend scheme"):
        find_scheme(parse_ledger_url("broken://host"), plugins)
