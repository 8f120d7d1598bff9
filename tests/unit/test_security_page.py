"""docs/security.md says what the code does: permissions, scopes, key files, limits."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
from pathlib import Path

import pytest

from auth import rates, used
from auth.pki import MAX_REQUEST
from auth.principal import OPERATE_PERMISSIONS, SCOPES
from ledger.client.marks import STATE_ROOT
from ledger.core.errors import LedgerError, error_class
from ledger.core.limits import KIB, LIMITS, MIB
from ledger.core.trust import Finding
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.http.call import BODY_SECONDS
from ledger.http.token_routes import FORM_BYTES
from ledger.http.transport import KEEPALIVE_SECONDS
from master.certificates import MOST_A_DAY
from master.create import NewNetwork, create_network
from master.defaults import default_permissions

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def rows(title: str) -> list[list[str]]:
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_default_permissions_are_those_of_the_page() -> None:
    block = re.search(r"```json\n(.*?)```", section("Default permissions"), re.DOTALL)
    assert block
    assert json.loads(block[1]) == default_permissions()


def test_scopes_are_those_of_the_page() -> None:
    table = {row[0].strip("`"): row[2] for row in rows("Tokens and scopes")}
    assert set(table) == SCOPES
    assert set(re.findall(r"`(\w+)`", table["operate"])) == OPERATE_PERMISSIONS


def test_every_key_file_of_a_new_network_is_in_the_inventory(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    asyncio.run(create_network(home.path, NewNetwork("demo"), SystemClock()))
    known = [name for row in rows("Keys") for name in re.findall(r"`([^`]+)`", row[0])]
    there = [path for path in home.path.rglob("*") if path.is_file() and path.parent in {home.keys, home.tls}]
    files = [str(path.relative_to(home.path)) for path in there]
    assert files
    assert not [file for file in files if not any(fnmatch.fnmatch(file, pattern) for pattern in known)]
    assert not [row[0] for row in rows("Keys") if not all(row[:3])]
    private = [path for path in there if path.suffix != ".pem" or path.parent == home.keys or path.name == "key.pem"]
    assert not [path for path in private if path.stat().st_mode & 0o077]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("statement", f"{LIMITS.statement // KIB} KiB"),
        ("entry", f"{LIMITS.entry:,} bytes"),
        ("request", f"{LIMITS.request // MIB} MiB, and {LIMITS.request_entries:,} envelopes"),
        (
            "body of a token request, of a checkpoint, of a certificate request",
            f"{FORM_BYTES // KIB} KiB, {LIMITS.note // KIB} KiB, {MAX_REQUEST // KIB} KiB",
        ),
        ("queue of the sequencer", f"{LIMITS.queue:,} entries; then 503 with Retry-After"),
        ("connections of a server", f"{LIMITS.connections:,}; one more is cut"),
        ("first request, or the next one, on a connection", f"{KEEPALIVE_SECONDS:.0f} s"),
        ("body of a request, from its first byte", f"{BODY_SECONDS:.0f} s"),
        ("assertions of one member that are not over", f"{used.PER_OWNER:,}; of all, {used.CAPACITY:,}"),
        (
            "tokens that one member's key buys, that one invite buys",
            f"{rates.MEMBER_A_MINUTE} a minute, {rates.INVITE_A_MINUTE} a minute; then 503 with Retry-After",
        ),
        ("certificates of one member", f"{MOST_A_DAY} a day"),
    ],
)
def test_limits_are_those_of_the_page(limit: str, value: str) -> None:
    assert dict(row[:2] for row in rows("Limits"))[limit] == value


def test_spans_of_time_are_those_of_the_page() -> None:
    assert (LIMITS.access_token_seconds, LIMITS.assertion_seconds, LIMITS.invite_seconds) == (15 * 60, 60, 3_600)
    assert "good for 15 minutes" in section("Tokens and scopes")
    assert (LIMITS.member_certificate_days, LIMITS.ca_days) == (90, 3_650)
    assert "A certificate ends after 90 days, the CA after ten years." in section("TLS")


def test_every_attacker_has_a_row_that_is_whole() -> None:
    assert {len(row) for row in rows("Attackers")} == {4}
    assert len(rows("Attackers")) > 12


def test_codes_of_lies_are_those_of_the_code() -> None:
    table = rows("Lies to a node")
    assert {len(row) for row in table} == {5}
    codes = {code for row in table for code in re.findall(r"`([a-z-]+)`", row[1])}
    assert {code for code in codes if error_class(code) is LedgerError} == {"void-entries", STATE_ROOT}
    assert len(table) > 18


def test_findings_are_those_of_the_code() -> None:
    named = [name for row in rows("Findings") for name in re.findall(r"`([a-z-]+)`", row[1])]
    assert sorted(named) == sorted(Finding)
