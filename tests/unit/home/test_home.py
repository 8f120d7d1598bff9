from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import NotFoundError, UnavailableError, UsageError
from ledger.home.home import Home

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8")),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)


def test_create_makes_private_directories_and_refuses_a_second_identity(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "home")
    with pytest.raises(NotFoundError, match="nobody lives in"):
        home.require()
    home.create()
    assert [d.stat().st_mode & 0o777 for d in (home.path, home.keys, home.tls, home.evidence)] == [0o700] * 4
    home.create()
    home.write_config({"role": "node", "name": None})
    home.require()
    assert home.read_config() == {"role": "node"}
    assert home.config.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="home of an identity already"):
        home.create()


def test_a_home_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError, match="cannot make the home"):
        Home(tmp_path / "file" / "home").create()


def test_layout_is_the_contract(tmp_path: Path) -> None:
    home = Home(tmp_path)
    paths = [
        home.config,
        home.database,
        home.journal,
        home.head_file,
        home.lock,
        home.api_token,
        home.evidence,
        home.ca_file,
        home.certificate_file,
    ]
    expected = ["config.toml", "ledger.db", "journal.db", "head.json", "lock", "api-token", "evidence", "tls/ca.pem", "tls/cert.pem"]
    assert [p.relative_to(tmp_path).as_posix() for p in paths] == expected
    assert home.certificate_key_file == tmp_path / "tls" / "key.pem"
    assert home.key_file("log") == tmp_path / "keys" / "log.pem"


def test_config_that_is_not_toml_names_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.read_config() == {}
    home.config.write_text("role =")
    with pytest.raises(UsageError, match=r"config.toml is not TOML"):
        home.read_config()
    with pytest.raises(UsageError, match="of a kind that config"):
        home.write_config({"a": {"b": 1}})


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(VALUES, st.lists(VALUES, max_size=3))))
def test_config_comes_back_as_written(tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.write_config(values)
    assert home.read_config() == values
