from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import LedgerError, UsageError
from ledger.home.home import Home
from ledger.home.readers import choice_of, read_bool, read_count, read_listen, read_seconds, read_text, read_texts
from ledger.home.settings import Settings, describe_settings, find_home, load_settings, read_settings

READERS = (read_text, read_bool, read_count, read_seconds, read_texts, read_listen, choice_of("a", "b"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_defaults_hold_without_anything(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}, {}) == Settings()


def test_precedence_is_flag_environment_file_config(home: Home) -> None:
    secret = home.path / "secret"
    secret.write_text("from file\n")
    secret.chmod(0o600)
    home.write_config({"log_level": "debug", "poll": 5, "listen": "a:1", "join": "from config"})
    environ = {"METALEDGER_POLL": "6", "METALEDGER_LISTEN": "a:2", "METALEDGER_JOIN_FILE": str(secret)}
    reading = read_settings(home.path, {"listen": "a:3"}, environ)
    assert (reading.settings.log_level, reading.settings.poll, reading.settings.listen, reading.settings.join) == (
        "debug",
        6.0,
        "a:3",
        "from file",
    )
    assert reading.origins["poll"] == "METALEDGER_POLL"
    assert reading.origins["listen"] == "--listen"
    assert reading.warnings == ()
    assert load_settings(home.path, {}, {**environ, "METALEDGER_JOIN": "direct"}).join == "direct"


@pytest.mark.parametrize(
    ("flags", "environ", "config", "hint"),
    [
        ({"lisen": 1}, {}, {}, "Did you mean listen?"),
        ({}, {"METALEDGER_PUBLICREAD": "1"}, {}, "Did you mean METALEDGER_PUBLIC_READ?"),
        ({}, {}, {"logg_level": "info"}, "Did you mean log_level?"),
        ({}, {}, {"zzz": 1}, "docs/operations.md lists the settings."),
        ({}, {"METALEDGER_LISTEN_FILE": "/x"}, {}, "Did you mean METALEDGER_LISTEN?"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(
    home: Home, flags: dict[str, object], environ: dict[str, str], config: dict[str, object], hint: str
) -> None:
    home.write_config(config)
    with pytest.raises(UsageError, match="unknown") as caught:
        load_settings(home.path, flags, environ)
    assert caught.value.hint == hint


def test_a_wrong_value_names_the_setting_and_its_origin(home: Home) -> None:
    with pytest.raises(UsageError, match=r"poll \(from METALEDGER_POLL\) must be a duration"):
        load_settings(home.path, {}, {"METALEDGER_POLL": "soon"})
    home.write_config({"relay": "perhaps"})
    with pytest.raises(UsageError, match=r"relay \(from .*config.toml\) must be true or false"):
        load_settings(home.path, {}, {})


def test_secrets_do_not_show_and_need_private_files(home: Home) -> None:
    assert "hunter2" not in repr(read_settings(home.path, {}, {"METALEDGER_PASSPHRASE": "hunter2"}))
    secret = home.path / "secret"
    secret.write_text("hunter2")
    secret.chmod(0o640)
    assert "others than its owner may read it" in read_settings(home.path, {}, {"METALEDGER_PASSPHRASE_FILE": str(secret)}).warnings[0]
    secret.chmod(0o666)
    with pytest.raises(UsageError, match="everybody may write"):
        load_settings(home.path, {}, {"METALEDGER_PASSPHRASE_FILE": str(secret)})
    home.write_config({"passphrase": "hunter2"})
    home.config.chmod(0o644)
    with pytest.raises(UsageError, match="open to its owner only"):
        load_settings(home.path, {}, {})


def test_every_setting_is_documented_and_its_default_is_valid() -> None:
    assert [d.name for d in describe_settings()] == [f.name for f in fields(Settings)]
    for one in describe_settings():
        assert one.doc.endswith(".")
        assert one.variable == "METALEDGER_" + one.name.upper()
    for f in fields(Settings):
        assert f.default is None or f.metadata["read"](f.default) == f.default


def test_find_home_prefers_the_flag_then_the_environment(tmp_path: Path) -> None:
    assert find_home(tmp_path, {"METALEDGER_HOME": "/other"}) == tmp_path
    assert find_home(None, {"METALEDGER_HOME": "/other"}) == Path("/other")
    assert find_home(None, {}).name == ".metaledger"
    assert find_home(Path("here"), {}).is_absolute()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("15m", 900.0), ("1h", 3600.0), ("90d", 7_776_000.0), ("2w", 1_209_600.0), ("500ms", 0.5), ("7", 7.0), (1.5, 1.5)],
)
def test_durations(text: object, seconds: float) -> None:
    assert read_seconds(text) == seconds


@pytest.mark.parametrize("value", ["", "s", "-1s", "1y", "\u0661s", "1 s", True, None, -1, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        read_seconds(value)


@pytest.mark.parametrize("value", ["127.0.0.1", "a:b", "a:70000", ":80", "a b:1", "[::1:1", 5])
def test_what_is_no_address_to_listen_on_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        read_listen(value)


def test_lists_and_booleans_from_text() -> None:
    assert read_texts("a, b,,c") == ("a", "b", "c")
    assert read_texts(["a", "b"]) == ("a", "b")
    assert [read_bool(word) for word in ("Yes", "off", True, "0")] == [True, False, True, False]
    assert read_listen("[::1]:8443") == "[::1]:8443"


@given(
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))
)
def test_any_value_is_read_or_refused(value: object) -> None:
    for read in READERS:
        try:
            read(value)
        except ValueError:
            continue


@given(st.binary(max_size=200))
def test_any_config_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    home = Home(tmp_path_factory.mktemp("home"))
    home.config.write_bytes(content)
    try:
        load_settings(home.path, {}, {})
    except LedgerError:
        return
