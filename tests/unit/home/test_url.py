from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import UsageError
from ledger.home.url import LedgerUrl, other_place_problem, parse_ledger_url


def test_https_has_host_and_port() -> None:
    url = parse_ledger_url("https://127.0.0.1:8443")
    assert (url.family, url.transport, url.endpoint(1)) == ("https", "", ("127.0.0.1", 8443))
    url.require_bare()
    assert parse_ledger_url("https://ledger.example/").endpoint(443) == ("ledger.example", 443)
    assert parse_ledger_url("https://[::1]:8443").endpoint(1) == ("::1", 8443)


def test_sqlite_names_a_file() -> None:
    assert parse_ledger_url("sqlite:///var/lib/my%20ledger.db").file() == Path("/var/lib/my ledger.db")


def test_transports_and_parameters() -> None:
    url = parse_ledger_url("ethereum+http://localhost:8545/0xAb")
    assert (url.family, url.transport, url.path) == ("ethereum", "http", "/0xAb")
    fabric = parse_ledger_url("hyperledger:///etc/c.yaml?channel=ledger&chaincode=log")
    assert (fabric.file(), fabric.require_query("channel", "chaincode")) == (Path("/etc/c.yaml"), ("ledger", "log"))
    with pytest.raises(UsageError, match="must have these parameters: channel"):
        fabric.require_query("channel")


@pytest.mark.parametrize(
    "text",
    ["", "x", "https:/a", "HTTPS://a", "https://a b", "https://a:0", "https://a:99999", "https://a:x", "https://[::1", "https://a#b", "https://:8",
     "+x://a", "a+b+c://d", "https://é", "https://a/%zz", "https://a/%ff", "https://a/%00", "https://a?b", "https://a?b=1&b=2", "https://a\n",
     "x" * 3000],
)  # fmt: skip
def test_what_is_no_ledger_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_ledger_url(text)


def test_a_password_is_refused_and_never_shown() -> None:
    for text in ("https://me:hunter2@host", "https://me:hunter2@host:x"):
        with pytest.raises(UsageError) as caught:
            parse_ledger_url(text)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["sqlite://host/a", "sqlite:///", "sqlite://a.db", "sqlite:///a/"])
def test_a_file_needs_an_absolute_path(text: str) -> None:
    with pytest.raises(UsageError, match="names no file"):
        parse_ledger_url(text).file()


def test_parts_that_do_not_belong_are_refused() -> None:
    with pytest.raises(UsageError, match="must end after the port"):
        parse_ledger_url("https://a/b").require_bare()
    with pytest.raises(UsageError, match="names no host"):
        parse_ledger_url("sqlite:///a").endpoint(1)


@given(st.one_of(st.text(), st.from_regex(r"\A(https|sqlite|ethereum\+http)://[ -~]{0,40}\Z")))
def test_any_text_parses_or_raises_the_domain_error(text: str) -> None:
    try:
        url = parse_ledger_url(text)
    except UsageError:
        return
    assert isinstance(url, LedgerUrl)
    assert text.startswith(f"{url.scheme}://")


AWAY, HERE = "https://master.example:8443", "https://127.0.0.1:8443"


@pytest.mark.parametrize(
    "text",
    ["http://a.example:1", "file:///etc/passwd", "sqlite:///tmp/ledger.db", "https+unix:///run/docker.sock", "unix:///run/docker.sock",
     "https://", "//a.example", "https://me:hunter2@a.example", "https://a.example/path", "https://a.example?x=1", "https://a.example#x",
     "https://a.example:0", "ethereum+http://a.example/0x1", "https://0.0.0.0:1", "https://[::]:1", "https://169.254.169.254",
     "https://[fe80::1]:1", "https://224.0.0.1", "https://127.0.0.1:1", "https://127.9.9.9:1", "https://[::1]:1",
     "https://[::ffff:127.0.0.1]:1", "https://localhost:1", "https://x.localhost", "https://2130706433:1", "https://0x7f.1:1",
     "https://127.1:1", "https://0177.0.0.1.:1", "https://a.example\n", "HTTPS://a.example", "x" * 3000],
)  # fmt: skip
def test_a_policy_sends_nobody_to_such_a_place(text: str) -> None:
    assert other_place_problem(text, AWAY) is not None


@pytest.mark.parametrize(
    ("text", "present"),
    [
        ("https://other.example", AWAY),
        ("https://10.0.0.7:8443/", AWAY),
        ("https://[2001:db8::1]:1", AWAY),
        (AWAY, HERE),
        ("https://[::1]:9", HERE),
    ],
)
def test_a_policy_may_send_to_another_server(text: str, present: str) -> None:
    assert other_place_problem(text, present) is None
