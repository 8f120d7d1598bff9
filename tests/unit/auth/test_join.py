"""Join tokens: one spelling, nothing shown, nothing doubtful taken."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from auth.join import PREFIX, JoinToken, parse_join_token, read_join_token
from ledger.core import canonical
from ledger.core.errors import FormatError, LedgerError, NotFoundError, UsageError
from tests.support.identities import key_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = key_of("invite")
TOKEN = JoinToken("ab" * 32, "https://127.0.0.1:8443", "cd" * 32, KEY, "2026-11-21T10:00:00Z")
BODY: dict[str, Any] = {
    "ledger": "ab" * 32,
    "url": "https://127.0.0.1:8443",
    "ca": "cd" * 32,
    "key": base64.b64encode(KEY.seed).decode(),
    "expires": "2026-11-21T10:00:00Z",
}


def line(body: object) -> str:
    raw = body if isinstance(body, bytes) else canonical.dump(body)  # type: ignore[arg-type]  # junk on purpose
    return PREFIX + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_encoding_is_the_one_of_the_format() -> None:
    assert TOKEN.encode() == line(BODY)
    assert parse_join_token(TOKEN.encode()) == TOKEN
    assert parse_join_token(f"  {TOKEN.encode()}\r\n") == TOKEN


def test_public_ca_is_null() -> None:
    assert parse_join_token(line({**BODY, "ca": None})).ca is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger": "AB" * 32},
        {"ledger": "ab" * 31},
        {"ledger": None},
        {"ca": "CD" * 32},
        {"ca": ""},
        {"ca": 7},
        {"url": "http://127.0.0.1:8443"},
        {"url": "https://bob:secret@host"},
        {"url": "127.0.0.1:8443"},
        {"url": "https://host/ x"},
        {"url": "https://host\n"},
        {"url": "https://[::1"},
        {"url": ""},
        {"url": None},
        {"url": "https://" + "a" * 2_048},
        {"key": KEY.public.text},
        {"key": KEY.seed.hex()},
        {"key": base64.b64encode(KEY.seed[:31]).decode()},
        {"key": base64.b64encode(KEY.seed).decode().rstrip("=")},
        {"key": base64.b64encode(KEY.seed).decode() + "\n"},
        {"key": "é"},
        {"key": None},
        {"expires": "2026-02-30T10:00:00Z"},
        {"expires": 1_795_000_000},
        {"expires": "2026-11-21"},
        {"extra": 1},
    ],
)
def test_damaged_tokens_are_refused_and_not_repeated(changes: dict[str, object]) -> None:
    text = line({**BODY, **changes})
    with pytest.raises(FormatError) as caught:
        parse_join_token(text)
    shown = f"{caught.value!r} {caught.value.hint} {caught.value.context}"
    assert text not in shown
    assert BODY["key"] not in shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metaledger-join-1",
        PREFIX,
        PREFIX + "!",
        PREFIX + "A",
        PREFIX + "é",
        "metaledger-join-2." + line(BODY)[len(PREFIX) :],
        line(BODY) + "=",
        line(BODY)[:-1],
        line(BODY) + "A",
        line(BODY) + " " + line(BODY),
        line(b"{}"),
        line(b"[]"),
        line(b"[" * 2_000),
        line(json.dumps(BODY).encode()),
        line(canonical.dump(BODY)[:-1] + b',"ca":null}'),
        line({name: value for name, value in BODY.items() if name != "ca"}),
        PREFIX + "A" * 5_000,
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_join_token(text)


def test_bits_that_nobody_reads_must_be_zero() -> None:
    """Base64 that decodes to the same bytes is another spelling all the same."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    key = str(BODY["key"])
    twin = key[:-2] + letters[letters.index(key[-2]) + 1] + "="
    assert base64.b64decode(twin) == KEY.seed
    for length in (1, 2, 3):
        text = line({**BODY, "url": "https://" + "h" * length})
        parse_join_token(text)
        other = text[:-1] + letters[(letters.index(text[-1]) + 1) % len(letters)]
        with pytest.raises(FormatError):
            parse_join_token(other)
    with pytest.raises(FormatError):
        parse_join_token(line({**BODY, "key": twin}))


def test_expiry() -> None:
    ends = canonical.parse_time(TOKEN.expires)
    assert not TOKEN.expired(ends - 0.1)
    assert TOKEN.expired(ends)


def test_token_comes_from_argument_file_or_stdin(tmp_path: Path) -> None:
    warnings: list[str] = []
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(TOKEN.encode() + "\n")
    nothing = io.BytesIO()
    assert read_join_token(TOKEN.encode(), nothing, warnings.append) == TOKEN
    assert read_join_token(f"@{path}", nothing, warnings.append) == TOKEN
    assert read_join_token("-", io.BytesIO(TOKEN.encode().encode() + b"\n"), warnings.append) == TOKEN
    assert not warnings
    path.chmod(0o644)
    assert read_join_token(f"@{path}", nothing, warnings.append) == TOKEN
    assert len(warnings) == 1


def test_unusable_sources_are_domain_errors(tmp_path: Path) -> None:
    def read(argument: str, stdin: bytes = b"") -> LedgerError:
        with pytest.raises(LedgerError) as caught:
            read_join_token(argument, io.BytesIO(stdin), pytest.fail)
        return caught.value

    assert isinstance(read(f"@{tmp_path / 'none'}"), NotFoundError)
    assert isinstance(read(f"@{tmp_path}"), UsageError)
    assert isinstance(read("-", b"\xff\xfe"), FormatError)
    assert isinstance(read("-", b"x" * 10_000_000), FormatError)
    assert isinstance(read("-"), FormatError)
