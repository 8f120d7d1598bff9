"""The files of docker/ agree with each other and with the settings there are; none of it needs Docker."""

from __future__ import annotations

import re
import tomllib

from ledger.home.settings import describe_settings
from tests.support.house import ROOT

COMPOSE = (ROOT / "docker" / "compose.yaml").read_text()
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
EXAMPLE = (ROOT / "docker" / ".env.example").read_text()
DEFAULTS = dict(re.findall(r"^#([A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE))
SUBSTITUTED = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", COMPOSE))
PASSED_ON = set(re.findall(r"^ {2,6}(METALEDGER_[A-Z_]+):$", COMPOSE, re.MULTILINE))
VARIABLES = {setting.variable for setting in describe_settings()}


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    assert re.findall(r"\$\{?[A-Z0-9_]+(?!\w|:-)\}?", COMPOSE) == []  # each has a default
    assert set(DEFAULTS) == set(SUBSTITUTED) | PASSED_ON


def test_the_example_shows_the_defaults() -> None:
    assert {name: DEFAULTS[name] for name in SUBSTITUTED} == SUBSTITUTED


def test_every_setting_is_passed_on_or_the_example_says_why_not() -> None:
    assert len(PASSED_ON) > 5
    assert PASSED_ON <= VARIABLES
    unsaid = {name for name in VARIABLES if not re.search(rf"{name}\b(?!_)", EXAMPLE)}
    assert unsaid == set()


def test_the_image_is_of_this_version_on_pinned_bases() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert SUBSTITUTED["IMAGE"] == f"metaledger:{version}"
    bases = dict(re.findall(r"^ARG (\w+_BASE)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert bases == {name: SUBSTITUTED[name] for name in ("BUILD_BASE", "RUN_BASE")}
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*", base) for base in bases.values())


def test_what_the_dockerfile_copies_is_let_through_and_is_there() -> None:
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in re.findall(r"^COPY (?!--)(.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]}
    assert copied == let_through
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_nothing_in_the_final_stage_needs_a_shell() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert re.findall(r"^\s*(RUN|SHELL)\b", final, re.MULTILINE) == []
    assert all(line.rstrip().endswith("]") for line in re.findall(r"^(?:ENTRYPOINT|CMD|HEALTHCHECK).*$", final, re.MULTILINE))
