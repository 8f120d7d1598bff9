"""Certificates of the network's CA: a member's request in, a certificate for its own name out, and the revocation list.

What was issued is kept in a file (`tls/issued.jsonl`), one line each. The list of revoked ones is derived, never kept: a
certificate is revoked when its member is live no more, or has another key than the one that asked. So dropping a member, or
giving it another key, is all that a revocation takes.

A host belongs to the member that has it in a certificate first; those of the master's own certificate are the master's. So no
member gets a certificate with which it could stand in another server's place (docs/adr/0013). Names of the loopback are
everybody's: on them, as everywhere, clients look at the common name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING

import orjson

from auth.pki import MAX_REQUEST, Revoked, hosts_of, load_chain, parse_request
from ledger.core.errors import BusyError, ConflictError, CorruptError, NotAllowedError, UnavailableError
from ledger.http.call import Call, bytes_response, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from aiohttp import web

    from auth.pki import CertificateAuthority, CertificateRequest
    from auth.ports import MemberKeys
    from auth.principal import Principal
    from ledger.core.ports import Clock

PEM_TYPE = "application/x-pem-file"
REQUEST_TYPES = ("application/pkcs10", PEM_TYPE)
DAY = 86_400
MOST_A_DAY = 8  # certificates for one member
LIST_SECONDS = 3_600  # how long a revocation list is served again while nothing changes
LOOKS = 256  # look-ups between two turns of the event loop


@dataclass(frozen=True, slots=True)
class Issue:
    """A certificate that was issued: to which member, by which key, for which hosts, its serial number, from when to when (seconds)."""

    member: str
    name: str
    serial: str
    issued: int
    expires: int
    keyid: str = ""
    hosts: tuple[str, ...] = ()


class IssueBook:
    """The file of issued certificates. Blocking; lines are only ever added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._issues = self._load()

    def __len__(self) -> int:
        return len(self._issues)

    def _load(self) -> list[Issue]:
        try:
            content = self._path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                os.truncate(self._path, len(whole))  # a stop in the middle of a line: its certificate never left
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnavailableError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return [parse_issue(line) for line in whole.splitlines()]
        except (ValueError, TypeError) as error:
            raise CorruptError(f"{self._path} cannot be understood", advice="Restore it from a backup.") from error

    def add(self, issue: Issue) -> None:
        """Write an issue down; durable when this returns. Raises `UnavailableError`."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, orjson.dumps(asdict(issue)) + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UnavailableError(f"cannot write {self._path}: {error.strerror}") from error
        self._issues.append(issue)

    def current(self, now: float) -> list[Issue]:
        """Return what was issued and has not ended."""
        return [issue for issue in self._issues if issue.expires > now]


def parse_issue(line: bytes) -> Issue:
    """Return the issue of a line; raises ValueError or TypeError for anything else."""
    issue = Issue(**orjson.loads(line))
    return replace(issue, hosts=tuple(issue.hosts))


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine, whichever machine that is."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def places(hosts: Iterable[str]) -> frozenset[str]:
    """Return the hosts that only one member may have, each in one spelling: all but those of the loopback."""
    return frozenset(_spelling(host) for host in hosts if not is_loopback(_spelling(host)))


def _spelling(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


class HostRule:
    """Whose a host is. `server` is the name of the master, `certificate` the file of its own certificate."""

    def __init__(self, server: str, certificate: Path, members: MemberKeys) -> None:
        self._server = server
        self._certificate = certificate
        self._members = members

    def own(self) -> frozenset[str]:
        """Return the hosts of the master's certificate as it is now (blocking)."""
        return places(hosts_of(load_chain(self._certificate.read_bytes())[0].extensions))

    def require_free(self, wanted: Iterable[str], principal: Principal, own: frozenset[str], current: Iterable[Issue]) -> None:
        """Raise `ConflictError` for a host that is another's: the master's (`own`), or one of a certificate that is due."""
        asked = places(wanted)
        if principal.name != self._server:
            self._refuse(asked & own, self._server)
        for issue in current:
            taken = asked & places(issue.hosts)
            if taken and issue.member != principal.id and self.is_due(issue):
                self._refuse(taken, issue.name)

    def is_due(self, issue: Issue) -> bool:
        """Tell whether a certificate still stands for a live member with the key that asked for it."""
        member = self._members.member_named(issue.name)
        return member is not None and member.id == issue.member and issue.keyid in {"", member.key.keyid}

    def _refuse(self, taken: frozenset[str], holder: str) -> None:
        if taken:
            host = min(taken)
            advice = "Ask without this host. If it is yours, an admin drops that member, or gives it another key."
            raise ConflictError(f"the host {host} is of {holder}", advice=advice, host=host, holder=holder)


class CertificateRoutes:
    """Serves certificates. Without the CA's key (`authority` None) it says so and goes on serving the rest. It may be replaced."""

    def __init__(self, authority: CertificateAuthority | None, book: IssueBook, rule: HostRule, members: MemberKeys, clock: Clock) -> None:
        self.authority = authority
        self._book = book
        self._rule = rule
        self._members = members
        self._clock = clock
        self._turn = asyncio.Lock()
        self._list: tuple[tuple[int, int, str], float, bytes] | None = None

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route(
                "POST",
                "/v1/certificates",
                self.certify,
                "A certificate for a member's own name (PEM request in).",
                ("write",),
                takes=REQUEST_TYPES,
                status=201,
            ),
            Route("GET", "/v1/crl", self.revoked, "The certificate revocation list (PEM).", gives=PEM_TYPE),
        )

    async def certify(self, call: Call) -> web.Response:
        """Answer a certificate. The name in it is the member's; another name, and a host that is another's, are refused."""
        authority = self._require_authority()
        pem = await call.body(*REQUEST_TYPES, cap=MAX_REQUEST)
        principal, now = call.caller, self._clock.now()
        async with self._turn:
            request = await asyncio.to_thread(parse_request, pem)
            own = await asyncio.to_thread(self._rule.own)
            self._require_due(request, principal, own, now)
            issued = await asyncio.to_thread(authority.issue, replace(request, name=principal.name), now)
            issue = Issue(principal.id, principal.name, issued.serial, int(now), issued.expires, principal.keyid, request.hosts)
            await asyncio.to_thread(self._book.add, issue)
        answer = {"certificate": issued.chain.decode(), "serial": issued.serial, "expires": issued.expires}
        return json_response(answer, status=HTTPStatus.CREATED)

    def _require_due(self, request: CertificateRequest, principal: Principal, own: frozenset[str], now: float) -> None:
        if request.name != principal.name:
            raise NotAllowedError(f"a certificate for {request.name} is not due to {principal.name}", advice="Ask for your own name.")
        current = self._book.current(now)
        times = sorted(issue.issued for issue in current if issue.member == principal.id and issue.issued > now - DAY)
        if len(times) >= MOST_A_DAY:
            wait = ceil(times[-MOST_A_DAY] + DAY - now)
            raise BusyError(f"{principal.name} had {MOST_A_DAY} certificates within a day", retry_after=max(1.0, wait))
        self._rule.require_free(request.hosts, principal, own, current)

    async def revoked(self, call: Call) -> web.Response:
        """Answer the revocation list: the certificates of members that are live no more, or have another key now."""
        call.only()
        authority = self._require_authority()
        async with self._turn:
            now = self._clock.now()
            facts = self._members.revision(), len(self._book), authority.fingerprint
            if self._list is None or self._list[0] != facts or not 0 <= now - self._list[1] < LIST_SECONDS:
                lines = [Revoked(issue.serial, int(now)) for issue in await self._undue(now)]
                self._list = facts, now, await asyncio.to_thread(authority.revocation_list, lines, now, int(now))
            pem = self._list[2]
        return bytes_response(pem, PEM_TYPE, cache="no-cache")

    async def _undue(self, now: float) -> list[Issue]:
        """Return what was issued and is due no more; other requests get their turn in between."""
        found = []
        for number, issue in enumerate(self._book.current(now), 1):
            if not self._rule.is_due(issue):
                found.append(issue)
            if number % LOOKS == 0:
                await asyncio.sleep(0)
        return found

    def _require_authority(self) -> CertificateAuthority:
        if self.authority is None:
            raise UnavailableError("this master does not hold the key of the network's CA", advice="Ask whoever holds tls/ca.key.")
        return self.authority
