from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.package import Chaincode
from ledger.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

CA = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
LOCAL = Chaincode("127.0.0.1:9999", ("Org1MSP",))


def unpacked(octets: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(octets))) as archive:
        return {one.name: opened.read() for one in archive if (opened := archive.extractfile(one)) is not None}


def test_package_is_of_the_kind_that_names_an_address() -> None:
    outer = unpacked(LOCAL.package())
    assert json.loads(outer["metadata.json"]) == {"type": "ccaas", "label": "metaledger_1"}
    inner = unpacked(outer["code.tar.gz"])
    assert {name: json.loads(text) for name, text in inner.items()} == {
        "connection.json": {"address": "127.0.0.1:9999", "dial_timeout": "10s", "tls_required": False}
    }


def test_package_for_another_machine_pins_who_signed_its_certificate() -> None:
    far = replace(LOCAL, address="cc.example:9999", tls_ca=CA)
    far.require_sound()
    connection = json.loads(unpacked(unpacked(far.package())["code.tar.gz"])["connection.json"])
    assert (connection["tls_required"], connection["root_cert"]) == (True, CA)
    assert any("CHAINCODE_TLS_KEY" in step for step in far.steps())


def test_same_input_makes_the_same_package_and_id(tmp_path: Path) -> None:
    one, two = (LOCAL.write(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert one.startswith("metaledger_1:")
    assert (tmp_path / "one" / "metaledger.tgz").read_bytes() == LOCAL.package()
    other = replace(LOCAL, address="127.0.0.1:9998").write(tmp_path / "three")
    assert other != one


def test_source_goes_along_without_its_tests(tmp_path: Path) -> None:
    LOCAL.write(tmp_path)
    found = {one.name for one in (tmp_path / "chaincode").iterdir()}
    assert {"main.go", "go.mod", "go.sum", "README.md"} <= found
    assert not [one for one in found if one.endswith("_test.go")]


def test_first_call_lets_those_named_append_and_the_first_decide() -> None:
    call = json.loads(replace(LOCAL, msps=("Org1MSP", "Org2MSP")).first_call())
    assert call["Args"][0] == "Configure"
    assert json.loads(call["Args"][1]) == {"append": [{"msp": "Org1MSP"}, {"msp": "Org2MSP"}], "admin": [{"msp": "Org1MSP"}]}


def test_steps_name_every_peer_and_the_id() -> None:
    one = replace(LOCAL, msps=("Org1MSP", "Org2MSP"), channel="metals", name="log")
    steps = "\n".join(one.steps())
    assert one.package_id.startswith("log_1:")
    assert f"CHAINCODE_ID={one.package_id} " in steps
    assert f"--package-id {one.package_id}" in steps
    assert '--peerAddresses "$PEER_2"' in steps
    assert "--channelID metals --name log " in steps
    assert "CHAINCODE_TLS" not in steps


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "127.0.0.1"},
        {"address": "127.0.0.1:0"},
        {"address": "127.0.0.1:65536"},
        {"address": "127.0.0.1:9999; rm"},
        {"address": "cc.example:9999"},
        {"address": "10.0.0.1:9999"},
        {"tls_ca": "no certificate"},
        {"name": "a b"},
        {"name": "$(x)"},
        {"channel": "Ledger"},
        {"channel": "-ledger"},
        {"msps": ("Org1MSP", "Org 2")},
        {"msps": ("",)},
    ],
    ids=str,
)
def test_what_fabric_or_a_shell_would_take_amiss_is_refused_and_nothing_written(wrong: dict[str, object], tmp_path: Path) -> None:
    one = replace(LOCAL, **wrong)  # type: ignore[arg-type]  # the values are wrong on purpose
    with pytest.raises(UsageError):
        one.write(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        LOCAL.write(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["mine"]
