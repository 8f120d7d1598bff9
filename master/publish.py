"""The routes by which statements come in: `POST /v1/entries`, one envelope or many, and the fork guard `POST /v1/checkpoints`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from ledger.core.backend import Placed
from ledger.core.errors import LedgerError, UsageError
from ledger.core.limits import LIMITS
from ledger.http.call import JSON_TYPE, Call, media_type, parse_number
from ledger.http.problem import problem_of
from ledger.http.routes import Route
from ledger.http.state_routes import ENVELOPE_TYPE
from ledger.http.whole import WholeResponse
from master.admission import SPELLINGS_BYTES, Terms

if TYPE_CHECKING:
    from ledger.core.backend import Refused
    from master.admission import Admission, Verdict

LINES_TYPE = "application/jsonl"
MINIMAL = "return=minimal"


class PublishRoutes:
    """Serves publishing."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        return (
            Route(
                "POST",
                "/v1/entries",
                self.publish,
                "Publish one envelope (201 with its receipt) or many (200, one line a line).",
                ("write", "join"),
                takes=(ENVELOPE_TYPE, LINES_TYPE),
                status=201,
                also={200: LINES_TYPE},
            ),
        )

    async def publish(self, call: Call) -> web.Response:
        """Answer where the statements stand, durable and proven."""
        if media_type(call.header("Content-Type") or "") == LINES_TYPE:
            return await self._publish_many(call)
        text = await call.body(ENVELOPE_TYPE, cap=SPELLINGS_BYTES)
        verdict = await self._admission.admit(text, call.caller, Terms(expected_size(call)))
        placed = verdict.result
        if not isinstance(placed, Placed):
            raise placed.error
        headers = {"Content-Type": JSON_TYPE, "Cache-Control": "no-store", "Location": f"/v1/receipts/{placed.digest}"}
        return WholeResponse(
            status=HTTPStatus.CREATED, body=orjson.dumps(placement(verdict.id, placed, with_receipt=True)), headers=headers
        )

    async def _publish_many(self, call: Call) -> web.Response:
        text = await call.body(LINES_TYPE, cap=LIMITS.request)
        lines = [line for line in text.split(b"\n") if line.strip()]
        with_receipts = MINIMAL not in (call.header("Prefer") or "").lower().replace(" ", "")
        verdicts = await self._admission.admit_many(lines, call.caller, Terms(expected_size(call), with_receipts))
        body = b"".join(verdict_line(verdict, call.request_id, with_receipt=with_receipts) for verdict in verdicts)
        headers = {"Content-Type": LINES_TYPE, "Cache-Control": "no-store"}
        if not with_receipts:
            headers["Preference-Applied"] = MINIMAL
        return web.Response(body=body, headers=headers)


def expected_size(call: Call) -> int | None:
    """Return the size in `If-Match: "<size>"`, None without one. Raises `UsageError` for anything else."""
    text = call.header("If-Match")
    if text is None:
        return None
    quoted = '""'
    if len(text) <= len(quoted) or text[0] + text[-1] != quoted:
        raise UsageError('If-Match must be "<size>", in quotes')
    return parse_number("If-Match", text[1:-1])


def placement(policy_id: str | None, placed: Placed, *, with_receipt: bool) -> dict[str, object]:
    """Return what is answered for an entry that stands in the log."""
    answer: dict[str, object] = {"index": placed.index, "id": policy_id, "digest": placed.digest}
    if with_receipt and placed.receipt is not None:
        answer["receipt"] = placed.receipt.decode()
    return answer


def verdict_line(verdict: Verdict, request_id: str, *, with_receipt: bool) -> bytes:
    """Return one line of a bulk answer."""
    result: Placed | Refused = verdict.result
    if isinstance(result, Placed):
        return orjson.dumps(placement(verdict.id, result, with_receipt=with_receipt)) + b"\n"
    return refusal_line(result.error, request_id)


def refusal_line(error: LedgerError, request_id: str) -> bytes:
    """Return the line for an envelope that was refused."""
    return orjson.dumps({"error": problem_of(error).document(request_id)}, default=str) + b"\n"
