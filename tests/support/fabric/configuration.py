"""The files that Fabric's programs read, as small as they may be. JSON is YAML; keys are Fabric's own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.fabric.shape import CHANNEL
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.0.0.1"
SANS = [HOST, "localhost"]
CRYPTO = "crypto"
ORDERERS = f"{CRYPTO}/ordererOrganizations/orderer.test"
BCCSP = {"Default": "SW", "SW": {"Hash": "SHA2", "Security": 256}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is made of: organisations with a peer each, orderers, and how the channel cuts blocks.

    `endorsement` is the chaincode's policy; empty: a majority of the organisations.
    """

    organisations: int = 1
    orderers: int = 1
    most: int = 1
    timeout: str = "50ms"
    write_batch: bool = True
    endorsement: str = ""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one node: for clients, for administrators (an orderer) or chaincodes (a peer), for figures."""

    serves: int
    second: int
    figures: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A plan with its ports, in `folder`."""

    folder: Path
    plan: Plan
    orderers: list[Ports] = field(default_factory=list)
    peers: list[Ports] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, plan: Plan) -> Layout:
        """Choose the ports."""
        free = free_ports(3 * (plan.orderers + plan.organisations))
        nodes = [Ports(*free[at : at + 3]) for at in range(0, len(free), 3)]
        return cls(folder, plan, nodes[: plan.orderers], nodes[plan.orderers :])

    def write(self) -> None:
        """Write what `cryptogen`, `configtxgen`, each orderer and each peer reads."""
        _put(self.folder / "crypto.json", _crypto(self.plan))
        _put(self.folder / "configtx.yaml", _channel(self))
        for number in range(self.plan.orderers):
            _put(self.folder / f"orderer{number}" / "orderer.yaml", _orderer(self, number))
        for number in range(self.plan.organisations):
            _put(self.folder / f"peer{number}" / "core.yaml", _peer(self, number))
        self._write_builder()

    def _write_builder(self) -> None:
        """The external builder for chaincode as a service: there is nothing to build, an address is kept."""
        place = self.folder / "builder" / "bin"
        place.mkdir(parents=True)
        scripts = {
            "detect": """grep -q '"ccaas"' "$2/metadata.json\"""",
            "build": """cp "$1/connection.json" "$3/\"""",
            "release": """mkdir -p "$2/chaincode/server" && cp "$1/connection.json" "$2/chaincode/server/\"""",
        }
        for name, script in scripts.items():
            (place / name).write_text(f"#!/bin/sh\n{script}\n")
            (place / name).chmod(0o755)

    def organisation(self, number: int) -> Path:
        """Return the folder of an organisation's certificates, from 0."""
        return self.folder / CRYPTO / "peerOrganizations" / f"org{number + 1}.test"

    def orderer_tls(self, number: int) -> Path:
        """Return the folder of an orderer's TLS certificate, key and authority."""
        return self.folder / ORDERERS / "orderers" / f"o{number}.orderer.test" / "tls"


def _put(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def _crypto(plan: Plan) -> dict[str, Any]:
    hosts = [{"Hostname": f"o{number}", "SANS": SANS} for number in range(plan.orderers)]
    peers = [
        {
            "Name": f"Org{number + 1}",
            "Domain": f"org{number + 1}.test",
            "EnableNodeOUs": True,
            "Template": {"Count": 1, "SANS": SANS},
            "Users": {"Count": 0},
        }
        for number in range(plan.organisations)
    ]
    orderer = {"Name": "Orderer", "Domain": "orderer.test", "EnableNodeOUs": True, "Specs": hosts}
    return {"OrdererOrgs": [orderer], "PeerOrgs": peers}


def _signed_by(rule: str) -> dict[str, str]:
    return {"Type": "Signature", "Rule": rule}


def _implied(rule: str) -> dict[str, str]:
    return {"Type": "ImplicitMeta", "Rule": rule}


def _members(msp: str) -> dict[str, Any]:
    anyone = _signed_by(f"OR('{msp}.member')")
    return {"Readers": anyone, "Writers": anyone, "Admins": _signed_by(f"OR('{msp}.admin')")}


def _channel(layout: Layout) -> dict[str, Any]:
    """Return configtx.yaml: one profile, an application channel from its first block."""
    roles = {"Readers": _implied("ANY Readers"), "Writers": _implied("ANY Writers"), "Admins": _implied("MAJORITY Admins")}
    majority = _implied("MAJORITY Endorsement")
    orderer = {
        "Name": "OrdererOrg",
        "ID": "OrdererMSP",
        "MSPDir": f"{ORDERERS}/msp",
        "OrdererEndpoints": [f"{HOST}:{one.serves}" for one in layout.orderers],
        "Policies": _members("OrdererMSP"),
    }
    certificates = [str(layout.orderer_tls(number) / "server.crt") for number in range(layout.plan.orderers)]
    consenters = [
        {"Host": HOST, "Port": one.serves, "ClientTLSCert": certificate, "ServerTLSCert": certificate}
        for one, certificate in zip(layout.orderers, certificates, strict=True)
    ]
    # Ten ticks without a heartbeat make an election: a second.
    pace = {"TickInterval": "100ms", "ElectionTick": 10, "HeartbeatTick": 1, "MaxInflightBlocks": 5, "SnapshotIntervalSize": "16 MB"}
    application = {
        "Organizations": [_organisation(layout, number) for number in range(layout.plan.organisations)],
        "Capabilities": {"V2_5": True},
        "Policies": {**roles, "LifecycleEndorsement": majority, "Endorsement": majority},
    }
    ordering = {
        "OrdererType": "etcdraft",
        "BatchTimeout": layout.plan.timeout,
        "BatchSize": {"MaxMessageCount": layout.plan.most, "AbsoluteMaxBytes": "10 MB", "PreferredMaxBytes": "2 MB"},
        "EtcdRaft": {"Consenters": consenters, "Options": pace},
        "Organizations": [orderer],
        "Capabilities": {"V2_0": True},
        "Policies": {**roles, "BlockValidation": _implied("ANY Writers")},
    }
    profile = {"Policies": roles, "Capabilities": {"V2_0": True}, "Orderer": ordering, "Application": application}
    return {"Profiles": {CHANNEL: profile}}


def _organisation(layout: Layout, number: int) -> dict[str, Any]:
    msp = f"Org{number + 1}MSP"
    return {
        "Name": msp,
        "ID": msp,
        "MSPDir": f"{layout.organisation(number)}/msp",
        "Policies": {**_members(msp), "Endorsement": _signed_by(f"OR('{msp}.peer')")},
        "AnchorPeers": [{"Host": HOST, "Port": layout.peers[number].serves}],
    }


def _orderer(layout: Layout, number: int) -> dict[str, Any]:
    mine, place = layout.orderers[number], layout.folder / f"orderer{number}" / "kept"
    tls = layout.orderer_tls(number)
    return {
        "General": {
            "ListenAddress": HOST,
            "ListenPort": mine.serves,
            "LocalMSPID": "OrdererMSP",
            "LocalMSPDir": str(tls.parent / "msp"),
            "BootstrapMethod": "none",
            "TLS": {
                "Enabled": True,
                "PrivateKey": f"{tls}/server.key",
                "Certificate": f"{tls}/server.crt",
                "RootCAs": [f"{tls}/ca.crt"],
            },
            "Keepalive": {"ServerMinInterval": "60s", "ServerInterval": "7200s", "ServerTimeout": "20s"},
            "BCCSP": BCCSP,
            "Authentication": {"TimeWindow": "15m"},
        },
        "FileLedger": {"Location": str(place)},
        "Operations": {"ListenAddress": f"{HOST}:{mine.figures}", "TLS": {"Enabled": False}},
        "Metrics": {"Provider": "disabled"},
        "Admin": {"ListenAddress": f"{HOST}:{mine.second}", "TLS": {"Enabled": False}},
        "ChannelParticipation": {"Enabled": True, "MaxRequestBodySize": "1 MB"},
        "Consensus": {"WALDir": str(place / "wal"), "SnapDir": str(place / "snap")},
    }


def _peer(layout: Layout, number: int) -> dict[str, Any]:
    mine, kept = layout.peers[number], layout.folder / f"peer{number}" / "kept"
    batches = {"useWriteBatch": True, "maxSizeWriteBatch": 1_000, "useGetMultipleKeys": True, "maxSizeGetMultipleKeys": 1_000}
    return {
        "peer": _peer_itself(layout, number, kept),
        "vm": {"endpoint": ""},
        "chaincode": {
            "mode": "net",
            "installTimeout": "60s",
            "startuptimeout": "60s",
            "executetimeout": "30s",
            "externalBuilders": [{"name": "ccaas", "path": str(layout.folder / "builder"), "propagateEnvironment": []}],
            "system": dict.fromkeys(("_lifecycle", "cscc", "lscc", "qscc"), "enable"),
            "logging": {"level": "info", "shim": "warning"},
            **({"runtimeParams": batches} if layout.plan.write_batch else {}),
        },
        "ledger": {
            "state": {"stateDatabase": "goleveldb", "totalQueryLimit": 100_000},
            "history": {"enableHistoryDatabase": False},
            "snapshots": {"rootDir": str(kept / "snapshots")},
        },
        "operations": {"listenAddress": f"{HOST}:{mine.figures}"},
        "metrics": {"provider": "disabled"},
    }


def _peer_itself(layout: Layout, number: int, kept: Path) -> dict[str, Any]:
    mine, own = layout.peers[number], layout.organisation(number) / "peers" / f"peer0.org{number + 1}.test"
    address, chaincodes = f"{HOST}:{mine.serves}", f"{HOST}:{mine.second}"
    return {
        "id": f"peer{number}",
        "networkId": "tests",
        "listenAddress": address,
        "address": address,
        "chaincodeListenAddress": chaincodes,
        "chaincodeAddress": chaincodes,
        "localMspId": f"Org{number + 1}MSP",
        "mspConfigPath": f"{own}/msp",
        "fileSystemPath": str(kept),
        "gateway": {"enabled": True, "endorsementTimeout": "30s", "broadcastTimeout": "30s", "dialTimeout": "30s"},
        "gossip": _gossip(address),
        "tls": {
            "enabled": True,
            "cert": {"file": f"{own}/tls/server.crt"},
            "key": {"file": f"{own}/tls/server.key"},
            "rootcert": {"file": f"{own}/tls/ca.crt"},
        },
        "BCCSP": BCCSP,
        "handlers": {
            "authFilters": [{"name": "DefaultAuth"}, {"name": "ExpirationCheck"}],
            "decorators": [{"name": "DefaultDecorator"}],
            "endorsers": {"escc": {"name": "DefaultEndorsement"}},
            "validators": {"vscc": {"name": "DefaultValidation"}},
        },
        "discovery": {"enabled": True, "authCacheEnabled": True, "authCacheMaxSize": 1_000, "authCachePurgeRetentionRatio": 0.75},
        "limits": {"concurrency": {"endorserService": 2_500, "deliverService": 2_500, "gatewayService": 500}},
        "maxRecvMsgSize": 100 << 20,
        "maxSendMsgSize": 100 << 20,
    }


def _gossip(address: str) -> dict[str, Any]:
    """Peers of two organisations hear of each other's chaincodes by gossip: every fraction of a second, not every four."""
    return {
        "bootstrap": address,
        "endpoint": address,
        "externalEndpoint": address,
        "useLeaderElection": False,
        "orgLeader": True,
        "publishStateInfoInterval": "200ms",
        "requestStateInfoInterval": "200ms",
        "aliveTimeInterval": "500ms",
        "aliveExpirationTimeout": "2500ms",
        "reconnectInterval": "500ms",
    }
