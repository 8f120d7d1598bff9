"""What the bridge's codes mean, as domain errors. bridge-java/README.md lists the codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ledger.core.errors import (
    BadSourceError,
    ConflictError,
    InvalidError,
    LedgerError,
    NotAllowedError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknown,
    SizeMismatchError,
    TooLargeError,
    UnavailableError,
    UnreachableError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class WrongAuthorityError(BadSourceError):
    """The peer's TLS certificate is not of the authority that was given."""

    advice = "Compare the peer's address, and give the TLS CA certificate of its organisation."


class UnknownIdentityError(NotAllowedError):
    """The channel does not take this certificate."""

    advice = "Check the MSP id, that the certificate is of that organisation and not expired, and that the key is its own."


class UnknownChannelError(NotFoundError):
    """The peer has no such channel."""

    advice = "Check the channel's name, and that this peer has joined it."


class WrongClockError(UnavailableError):
    """The peer refuses a request for its time."""

    code = "wrong-clock"
    advice = "Set this machine's clock, or the peer's: they are more than minutes apart."


class NoChaincodeError(NotFoundError):
    """The channel has no such chaincode."""

    advice = "Check the chaincode's name; docs/hyperledger.md says how to deploy it."


class NoEndorsementError(UnavailableError):
    """Too few organisations signed, or not the same."""

    advice = "See that the peers that the endorsement policy wants are up, and run the same chaincode."


class PeerDownError(UnreachableError):
    """The peer does not answer."""

    advice = "Check the peer's address and that it runs; name further peers in `sources`."


class OrdererDownError(UnreachableError):
    """The peer reaches no orderer."""

    advice = "Check the channel's orderers; what waits goes on by itself."


class ChaincodeDownError(NotReadyError):
    """The peer does not reach the chaincode's process."""

    advice = "Start the chaincode's process; what waits goes on by itself."


class TimeUpError(UnreachableError):
    """No answer in time: nothing is known."""

    advice = "Nothing: it is looked up."


class ReopenError(NotReadyError):
    """The process that had this connection is gone."""


_CODES: Final[Mapping[str, type[LedgerError]]] = {
    "tls": WrongAuthorityError,
    "identity": UnknownIdentityError,
    "channel": UnknownChannelError,
    "clock": WrongClockError,
    "chaincode": NoChaincodeError,
    "endorsement": NoEndorsementError,
    "peer-down": PeerDownError,
    "orderer-down": OrdererDownError,
    "chaincode-down": ChaincodeDownError,
    "timeout": TimeUpError,
    "closed": ReopenError,
    "request": UsageError,
    "conflict": ConflictError,
    "duplicate": ConflictError,
    "invalid": InvalidError,
}
_REFUSALS: Final[Mapping[str, type[LedgerError]]] = {
    "SIZE_MISMATCH": SizeMismatchError,
    "NOT_ALLOWED": NotAllowedError,
    "NOT_FOUND": NotFoundError,
    "TOO_LARGE": TooLargeError,
    "STATE": UnavailableError,
}


def fault(answer: Mapping[str, Any]) -> LedgerError:
    """Return the error that an answer with `ok` false stands for.

    OutcomeUnknown when a transaction may have left; a code that nobody knows yet may pass, so it is UnavailableError.
    """
    code, message = str(answer.get("code")), str(answer.get("message"))
    context = {name: answer[name] for name in ("grpc_status", "tx_id", "block", "validation") if name in answer}
    if answer.get("sent") is True:
        return OutcomeUnknown(f"the transaction may have left: {message}", operation=str(answer.get("tx_id")))
    if code == "refused":
        kind = _REFUSALS.get(message.partition(":")[0], InvalidError)
        return kind(f"the chaincode refuses it: {message}", **context)
    return _CODES.get(code, UnavailableError)(message, **context)


__all__ = [
    "ChaincodeDownError",
    "NoChaincodeError",
    "NoEndorsementError",
    "OrdererDownError",
    "PeerDownError",
    "ReopenError",
    "TimeUpError",
    "UnknownChannelError",
    "UnknownIdentityError",
    "WrongAuthorityError",
    "WrongClockError",
    "fault",
]
