"""Certificates of the network's CA: a member's request in, a certificate for its own name out, and the revocation list.

What was issued is kept in a file (`tls/issued.jsonl`), one line each. The list of revoked ones is derived, never kept: a
certificate is revoked when its member is live no more. So dropping a member is all that a revocation takes.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from auth.pki import MAX_REQUEST, Revoked, parse_request
from ledger.core.errors import CorruptError, NotAllowedError, UnavailableError
from ledger.http.call import Call, bytes_response, json_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import web

    from auth.pki import CertificateAuthority
    from auth.ports import MemberKeys
    from ledger.core.ports import Clock

PEM_TYPE = "application/x-pem-file"
REQUEST_TYPES = ("application/pkcs10", PEM_TYPE)


@dataclass(frozen=True, slots=True)
class Issue:
    """A certificate that was issued: to which member, under which serial number, from when to when (seconds)."""

    member: str
    name: str
    serial: str
    issued: int
    expires: int


class IssueBook:
    """The file of issued certificates. Blocking; lines are only ever added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._issues = self._load()

    def _load(self) -> list[Issue]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UnavailableError(f"cannot read {self._path}: {error.strerror}") from error
        try:
            return [Issue(**orjson.loads(line)) for line in lines]
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


class CertificateRoutes:
    """Serves certificates. Without the CA's key (`authority` None) it says so and goes on serving the rest."""

    def __init__(self, authority: CertificateAuthority | None, book: IssueBook, members: MemberKeys, clock: Clock) -> None:
        self._authority = authority
        self._book = book
        self._members = members
        self._clock = clock
        self._turn = asyncio.Lock()

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
        """Answer a certificate. The name in it is the member's; another one is refused."""
        authority = self._require_authority()
        pem = await call.body(*REQUEST_TYPES, cap=MAX_REQUEST)
        principal, now = call.caller, self._clock.now()
        async with self._turn:
            request = await asyncio.to_thread(parse_request, pem)
            if request.name != principal.name:
                raise NotAllowedError(f"a certificate for {request.name} is not due to {principal.name}", advice="Ask for your own name.")
            issued = await asyncio.to_thread(authority.issue, replace(request, name=principal.name), now)
            issue = Issue(principal.id, principal.name, issued.serial, int(now), issued.expires)
            await asyncio.to_thread(self._book.add, issue)
        answer = {"certificate": issued.chain.decode(), "serial": issued.serial, "expires": issued.expires}
        return json_response(answer, status=HTTPStatus.CREATED)

    async def revoked(self, call: Call) -> web.Response:
        """Answer the revocation list: the certificates of members that are live no more."""
        call.only()
        authority = self._require_authority()
        now = self._clock.now()
        lines = [Revoked(issue.serial, int(now)) for issue in self._book.current(now) if not self._is_due(issue)]
        pem = await asyncio.to_thread(authority.revocation_list, lines, now, int(now))
        return bytes_response(pem, PEM_TYPE, cache="no-cache")

    def _is_due(self, issue: Issue) -> bool:
        member = self._members.member_named(issue.name)
        return member is not None and member.id == issue.member

    def _require_authority(self) -> CertificateAuthority:
        if self._authority is None:
            raise UnavailableError("this master does not hold the key of the network's CA", advice="Ask whoever holds tls/ca.key.")
        return self._authority
