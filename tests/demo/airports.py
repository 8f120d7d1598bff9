"""The demo's real input: every airport of PyPI's `airportsdata` as a `site` policy, and what hosts data for some of them.

`python -m tests.demo.airports --sites 300` (or `--all`) writes JSON lines that `ledger-cli publish policy -` takes, in an
order in which every reference points backwards: tables, clusters, operators, sites. The same arguments give the same bytes.
The airports are real; the company and its machines are made up, with addresses of the documentation ranges (RFC 5737).
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, TypeAlias

import airportsdata

if TYPE_CHECKING:
    from collections.abc import Iterator

Policy: TypeAlias = dict[str, dict[str, object]]

COMPANY = "Meridian Field Services"
DBMS = "airfield"
HUBS = ("CYYZ", "EDDF", "EGLL", "FAOR", "KJFK", "KSFO", "LFPG", "OMDB", "RJTT", "SBGR", "WSSS", "YSSY")
NETWORKS = ("192.0.2", "198.51.100")  # a machine of each pair in either
OPERATOR_PORT = 32148
REST_PORT = 32149
COLUMNS = {
    "runway_surface": "sensor varchar(16), surface_c float, friction float, wet boolean",
    "wind": "sensor varchar(16), direction_deg int, speed_kn float, gust_kn float",
    "ground_power": "meter varchar(16), stand varchar(8), kw float, kwh_total float",
}


def policies(sites: int | None = None) -> Iterator[Policy]:
    """Yield the demo's policies; `sites` airports, the hubs first (at least these), or all of them."""
    airports = airportsdata.load("ICAO")
    yield from (_table(name) for name in COLUMNS)
    yield from (_cluster(airports[icao]) for icao in HUBS)
    yield from (_operator(airports[icao], hub, member) for hub, icao in enumerate(HUBS) for member in (1, 2))
    yield from (_site(airports[icao]) for icao in _chosen(airports, sites))


def site_schema() -> Policy:
    """Return the rule that no two sites share an ICAO code, for an admin to publish before the sites."""
    return {"schema": {"id": "schema.site", "kind": "site", "unique": [["icao"]], "refs": []}}


def _chosen(airports: dict[str, airportsdata.Airport], count: int | None) -> list[str]:
    """Return the codes of `count` airports: the hubs, then scheduled ones spread evenly over the alphabet of codes."""
    hubs = set(HUBS)
    others = sorted(icao for icao in airports if icao not in hubs)
    if count is None:
        return [*HUBS, *others]
    scheduled = [icao for icao in others if airports[icao]["iata"]]
    pool = scheduled if count - len(HUBS) <= len(scheduled) else others
    wanted = max(0, min(count - len(HUBS), len(pool)))
    return [*HUBS, *(pool[place * len(pool) // wanted] for place in range(wanted))]


def _site(airport: airportsdata.Airport) -> Policy:
    elevation = airport["elevation"]
    body: dict[str, object] = {
        "name": airport["name"],
        "icao": airport["icao"],
        "iata": airport["iata"],
        "lid": airport["lid"],
        "city": airport["city"],
        "region": airport["subd"],
        "country": airport["country"],
        "loc": f"{airport['lat']},{airport['lon']}",
        "elevation_ft": int(elevation) if elevation == int(elevation) else elevation,
        "tz": airport["tz"],
    }
    return {"site": {name: value for name, value in body.items() if value != ""}}


def _table(name: str) -> Policy:
    create = f"create table {name} (time timestamp, {COLUMNS[name]})"
    return {"table": {"id": f"table-{DBMS}-{name}", "name": name, "dbms": DBMS, "create": create}}


def _cluster(airport: airportsdata.Airport) -> Policy:
    tables = [{"dbms": DBMS, "name": name, "status": "active"} for name in COLUMNS]
    body = {"company": COMPANY, "name": f"{airport['iata'].lower()}-field", "status": "active", "table": tables}
    return {"cluster": {"id": f"cluster-{airport['icao']}", **body}}


def _operator(airport: airportsdata.Airport, hub: int, member: int) -> Policy:
    name = f"{airport['iata'].lower()}-operator-{member}"
    body: dict[str, object] = {
        "company": COMPANY,
        "name": name,
        "hostname": f"{name}.example",
        "ip": f"{NETWORKS[member - 1]}.{10 + hub}",
        "port": OPERATOR_PORT,
        "rest_port": REST_PORT,
        "cluster": f"cluster-{airport['icao']}",
        "member": member,
        "main": member == 1,
        "site": airport["icao"],
        "loc": f"{airport['lat']},{airport['lon']}",
        "city": airport["city"],
        "country": airport["country"],
    }
    return {"operator": body}


def main() -> None:
    """Write the policies asked for to stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo.airports", description="airports as site policies, as JSON lines")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--sites", type=int, default=300, help="how many airports (default 300)")
    amount.add_argument("--all", action="store_true", help="every airport there is")
    chosen = parser.parse_args()
    for policy in policies(None if chosen.all else chosen.sites):
        sys.stdout.write(json.dumps(policy, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
