"""Connection profiles and identities, as Fabric's own tools write them, and as they are spoilt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.backend import profiles_of
from blockchain_adapters.hyperledger.connection import read_connection
from blockchain_adapters.hyperledger.identity import adopt_identity, read_identity
from ledger.core.errors import ConflictError, FormatError, NotFoundError, UsageError
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = """
name: net
client: {organization: Org2}
organizations:
  Org1: {mspid: Org1MSP, peers: [a]}
  Org2: {mspid: Org2MSP, peers: [b, c, gone]}
peers:
  a: {url: "grpcs://a.example:7051", tlsCACerts: {pem: PEM A}}
  b: {url: "grpcs://b.example:7051", tlsCACerts: {path: ca.pem}, grpcOptions: {ssl-target-name-override: b}}
  c: {url: "grpcs://[::1]:9", tlsCACerts: {pem: [one, two]}, grpcOptions: {hostnameOverride: c}}
"""
WALLET = {"credentials": {"certificate": "CERT", "privateKey": "KEY"}, "mspId": "Org2MSP", "type": "X.509", "version": 1}


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text("PEM B")
    path = tmp_path / "connection.yaml"
    path.write_text(PROFILE)
    return path


def wallet(folder: Path, content: object = WALLET) -> Path:
    path = folder / "anna.id"
    path.write_text(json.dumps(content))
    path.chmod(0o600)
    return path


def test_peers_of_ones_own_organisation_come_first(profile: Path) -> None:
    found = read_connection(profile)
    assert found.msp == "Org2MSP"
    assert [(one.address, one.tls_ca, one.authority) for one in found.peers] == [
        ("b.example:7051", "PEM B", "b"),
        ("[::1]:9", "one\ntwo", "c"),
        ("a.example:7051", "PEM A", None),
    ]


def test_json_is_yaml_and_a_profile_without_client_has_no_msp(tmp_path: Path) -> None:
    path = tmp_path / "connection.json"
    path.write_text(json.dumps({"peers": {"p": {"url": "grpcs://p:1", "tlsCACerts": {"pem": "x"}}}}))
    found = read_connection(path)
    assert (found.msp, [one.address for one in found.peers]) == (None, ["p:1"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "peers: {}",
        "peers: []",
        "peers: {p: }",
        "peers: {p: {url: 'grpc://p:1', tlsCACerts: {pem: x}}}",
        "peers: {p: {url: 'grpcs://p', tlsCACerts: {pem: x}}}",
        "peers: {p: {url: 'grpcs://p:99999', tlsCACerts: {pem: x}}}",
        "peers: {p: {url: 'grpcs://p:1'}}",
        "peers: {p: {url: 'grpcs://p:1', tlsCACerts: {pem: 7}}}",
        "peers: {p: {url: 'grpcs://p:1', tlsCACerts: {pem: x}}}\nclient: 7",
        "peers: {p: {url: 'grpcs://p:1', tlsCACerts: {pem: x}, grpcOptions: {hostnameOverride: 7}}}",
        "? {a: b}: [",
        "!!python/object/apply:os.system ['true']",
        "a: &a [*a, *a]\npeers: *a",
        "[" * 5_000,
    ],
)
def test_what_is_no_profile_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "connection.yaml"
    path.write_text(text)
    with pytest.raises(FormatError):
        read_connection(path)


def test_identities_come_from_wallets_msp_directories_and_pem_files(tmp_path: Path) -> None:
    found = read_identity(wallet(tmp_path))
    assert (found.certificate, found.key, found.msp) == ("CERT", "KEY", "Org2MSP")
    for certificates, keys in (("msp/signcerts/anna.pem", "msp/keystore/priv_sk"), ("plain/cert.pem", "plain/key.pem")):
        for name, text in ((certificates, "CERT"), (keys, "KEY")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        found = read_identity(tmp_path / certificates.partition("/")[0])
        assert (found.certificate, found.key, found.msp) == ("CERT", "KEY", None)
    assert "KEY" not in repr(found)


def test_a_wallet_is_taken_when_it_holds_one_identity_and_else_lists_them(tmp_path: Path) -> None:
    one = wallet(tmp_path)
    assert read_identity(tmp_path) == read_identity(one)
    one.with_name("zoe.id").write_bytes(one.read_bytes())
    with pytest.raises(UsageError, match="2 identities") as raised:
        read_identity(tmp_path)
    assert f"{one.name}, zoe.id" in raised.value.hint


@pytest.mark.parametrize(
    "content",
    [
        7,
        [],
        {},
        {**WALLET, "credentials": None},
        {**WALLET, "credentials": {"certificate": "CERT"}},
        {**WALLET, "credentials": {"certificate": 7, "privateKey": "KEY"}},
        {**WALLET, "type": "HSM-X.509"},
        {**WALLET, "mspId": 7},
    ],
)
def test_what_is_no_wallet_file_is_named(tmp_path: Path, content: object) -> None:
    with pytest.raises(FormatError):
        read_identity(wallet(tmp_path, content))


def test_a_key_that_others_may_read_or_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = wallet(tmp_path)
    path.chmod(0o644)
    with pytest.raises(UsageError):
        read_identity(path)
    with pytest.raises(NotFoundError, match="no identity"):
        read_identity(tmp_path / "nobody.id")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match="holds no identity"):
        read_identity(tmp_path / "empty")


def test_a_home_takes_a_copy_once(tmp_path: Path) -> None:
    target = tmp_path / "home" / "keys" / "fabric.id"
    adopt_identity(wallet(tmp_path), target)
    assert read_identity(target).msp == "Org2MSP"
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError):
        adopt_identity(wallet(tmp_path), target)


def test_a_url_names_channel_and_chaincode_and_the_identity_its_organisation(profile: Path) -> None:
    url = f"hyperledger://{profile}?channel=ledger&chaincode=metaledger"
    first = profiles_of(parse_ledger_url(url), wallet(profile.parent))[0]
    assert (first.peer, first.msp, first.channel, first.chaincode) == ("b.example:7051", "Org2MSP", "ledger", "metaledger")
    for wrong in (f"hyperledger://{profile}", f"{url}&more=1", "hyperledger://host/x?channel=a&chaincode=b"):
        with pytest.raises(UsageError):
            profiles_of(parse_ledger_url(wrong), wallet(profile.parent))
    profile.write_text(PROFILE.replace("client: {organization: Org2}", ""))
    with pytest.raises(UsageError, match="MSP id"):
        profiles_of(parse_ledger_url(url), wallet(profile.parent, {**WALLET, "mspId": None}))
