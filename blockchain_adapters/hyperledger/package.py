"""The package of the chaincode as a service: what a peer installs, what is to be built and run, and what to type.

The package is Fabric's own (`ccaas`): a gzipped tar of metadata.json and code.tar.gz, which holds connection.json, the address at which the
peer finds the chaincode. The same input makes the same bytes, so organisations that name one address have one package id.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from ledger.core.errors import UsageError
from ledger.home.files import create_file
from ledger.home.url import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ADDRESS: Final = re.compile(r"([a-zA-Z0-9._-]+|\[[0-9a-fA-F:]+\]):([1-9][0-9]{0,4})")
NAME: Final = re.compile(r"[a-zA-Z0-9]+([-_][a-zA-Z0-9]+)*")  # as Fabric has it
MSP: Final = re.compile(r"[a-zA-Z0-9.-]+")
CHANNEL: Final = re.compile(r"[a-z][a-z0-9.-]{0,248}")
LAST_PORT: Final = 65_535
PUBLIC: Final = 0o644
PACKAGE: Final = "metaledger.tgz"
FIRST_CALL: Final = "configure.json"
SOURCE: Final = "chaincode"


@dataclass(frozen=True, slots=True)
class Chaincode:
    """A chaincode on a channel. `address` (HOST:PORT) is where peers find it, `tls_ca` (PEM) what signed its certificate.

    `msps` may append; the first may change that.
    """

    address: str
    msps: Sequence[str]
    tls_ca: str | None = None
    channel: str = "ledger"
    name: str = "metaledger"

    def require_sound(self) -> None:
        """Raise UsageError for what Fabric would refuse, or would have in the clear."""
        found = ADDRESS.fullmatch(self.address)
        if found is None or int(found[2]) > LAST_PORT:
            raise UsageError(f"{self.address} is no address", advice="Write HOST:PORT.")
        if self.tls_ca is None and not is_local(found[1].strip("[]")):
            raise UsageError(
                "peers would talk to the chaincode in the clear",
                advice="Give --tls-ca, or an address of this machine's loopback interface.",
            )
        if self.tls_ca is not None and "-----BEGIN CERTIFICATE-----" not in self.tls_ca:
            raise UsageError("--tls-ca is a file of certificates in PEM")
        for text, form, what in (
            (self.name, NAME, "chaincode"),
            (self.channel, CHANNEL, "channel"),
            *((one, MSP, "MSP") for one in self.msps),
        ):
            if form.fullmatch(text) is None:
                raise UsageError(f"{text!r} is no name of a {what}", advice=f"It matches {form.pattern}.")

    @property
    def label(self) -> str:
        """Return the package's label."""
        return f"{self.name}_1"

    @property
    def package_id(self) -> str:
        """Return the id that peers give the package."""
        return f"{self.label}:{hashlib.sha256(self.package()).hexdigest()}"

    def package(self) -> bytes:
        """Return the package that peers install."""
        connection: dict[str, object] = {"address": self.address, "dial_timeout": "10s", "tls_required": self.tls_ca is not None}
        if self.tls_ca is not None:
            connection["root_cert"] = self.tls_ca
        code = _packed({"connection.json": _json(connection)})
        return _packed({"metadata.json": _json({"type": "ccaas", "label": self.label}), "code.tar.gz": code})

    def first_call(self) -> bytes:
        """Return the arguments of `peer chaincode invoke` that set who may append."""
        policy = {"append": [{"msp": one} for one in self.msps], "admin": [{"msp": self.msps[0]}]}
        return _json({"Args": ["Configure", json.dumps(policy, separators=(",", ":"))]})

    def write(self, folder: Path) -> str:
        """Write source, package and first call into a folder that is new or empty (blocking); return the package id."""
        self.require_sound()
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", advice="Name a new directory.")
        source = folder / SOURCE
        source.mkdir(parents=True, exist_ok=True)
        for one in files(__package__).joinpath(SOURCE).iterdir():
            if not one.name.endswith("_test.go"):
                create_file(source / one.name, one.read_bytes(), mode=PUBLIC)
        create_file(folder / PACKAGE, self.package(), mode=PUBLIC)
        create_file(folder / FIRST_CALL, self.first_call(), mode=PUBLIC)
        return self.package_id

    def steps(self) -> list[str]:
        """Return what to type, in the folder: shell commands, with comments that say where and who."""
        tls = "" if self.tls_ca is None else "CHAINCODE_TLS_KEY=server.key CHAINCODE_TLS_CERT=server.pem "
        definition = f"--channelID {self.channel} --name {self.name} --version 1 --sequence 1"
        orderer = '-o "$ORDERER" --tls --cafile "$ORDERER_CA"'
        peers = " ".join(f'--peerAddresses "$PEER_{place}" --tlsRootCertFiles "$PEER_{place}_CA"' for place, _ in enumerate(self.msps, 1))
        call = f"-C {self.channel} -n {self.name}"
        return [
            f"# Where {self.address} is (Go 1.26 or later):",
            f"(cd {SOURCE} && CGO_ENABLED=0 go build -trimpath -o ../metaledger-chaincode .)",
            f"{tls}CHAINCODE_ID={self.package_id} CHAINCODE_SERVER_ADDRESS={self.address} ./metaledger-chaincode",
            f"# As an administrator of each organisation ({', '.join(self.msps)}), with its peer in CORE_PEER_ADDRESS:",
            f"peer lifecycle chaincode install {PACKAGE}",
            f"peer lifecycle chaincode approveformyorg {orderer} {definition} --package-id {self.package_id}",
            f"# Once, as an administrator of {self.msps[0]}:",
            f"peer lifecycle chaincode commit {orderer} {definition} {peers}",
            f'peer chaincode invoke {orderer} {call} -c "$(cat {FIRST_CALL})" {peers} --waitForEvent',
            "# Compare its policy with what you sent before anybody writes:",
            f'peer chaincode query {call} -c \'{{"Args":["Status"]}}\'',
        ]


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _packed(content: Mapping[str, bytes]) -> bytes:
    """Return a gzipped tar without dates, owners and the like; not compressed, which each zlib does in its own way."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, octets in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(octets)
            archive.addfile(entry, io.BytesIO(octets))
    return gzip.compress(made.getvalue(), compresslevel=0, mtime=0)


__all__ = ["FIRST_CALL", "PACKAGE", "SOURCE", "Chaincode"]
