"""Every error the product raises on purpose, in one tree.

Each class owns a stable `code` (for programs) and an `advice` line (what a person does next).
`HTTP_STATUS` and `EXIT_CODE` are the only tables that translate errors for the outside: RFC 9457
problems and exit codes of `ledger-cli`. A class that is not listed there inherits its parent's row.

    LedgerError
    ├── InvalidError            the input is not what it claims to be
    │   ├── FormatError         bytes that break a rule of docs/formats.md
    │   ├── UsageError          a wrong option, setting or argument
    │   │   └── MissingExtraError
    │   ├── SchemaMismatchError policies that break the schemas of their kinds
    │   ├── TooLargeError
    │   └── TooCostlyError      a query that looks at too much
    ├── AccessError
    │   ├── AuthenticationError who is asking is not proven
    │   └── NotAllowedError     who is asking may not
    ├── ConflictError           another statement came first, or a rule of the network is broken
    │   ├── VersionMismatchError  the statement does not follow the last version of its policy
    │   └── SizeMismatchError   compare-and-set on the tree size failed
    ├── NotFoundError
    ├── UnsupportedError        this backend cannot do that
    ├── UnavailableError
    │   ├── UnreachableError    no answer
    │   ├── BusyError           try later (`retry_after`)
    │   ├── NotReadyError       the service stands but does not serve this now
    │   │   └── OrderMovedError the log goes on in another order: open it again
    │   ├── StaleError          older than the caller accepts
    │   └── OutcomeUnknown      it may or may not have happened (`operation`)
    ├── VerificationError       what came does not prove what it says
    │   ├── SignatureError
    │   ├── ProofError
    │   └── BadSourceError      this source cannot be used; others may be
    ├── AlarmError              the log itself is under attack; keeps `evidence`
    │   ├── SplitViewError
    │   ├── RollbackError
    │   └── ForkRiskError
    └── InternalError           a promise of our own was broken
        ├── CryptoLibraryError
        └── CorruptError        stored bytes are not what was stored
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class LedgerError(Exception):
    """Base of all domain errors.

    `context` holds machine-readable facts (JSON values only); it is shown in `-o json` and in
    problem documents, so it must never hold a secret.
    """

    code: ClassVar[str] = "error"
    advice: ClassVar[str] = "Run the command again with -v to see where it comes from."

    def __init__(self, message: str, *, advice: str | None = None, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.advice if advice is None else advice
        self.context: Mapping[str, object] = context


class InvalidError(LedgerError):
    """The input is not what it claims to be."""

    code = "invalid"
    advice = "Correct the input and try again."


class FormatError(InvalidError):
    """Bytes that break a rule of docs/formats.md."""

    code = "format"


class UsageError(InvalidError):
    """A wrong option, setting or argument."""

    code = "usage"
    advice = "See --help."


class MissingExtraError(UsageError):
    """An optional part of the product is not installed."""

    code = "missing-extra"


class SchemaMismatchError(InvalidError):
    """Policies that break the JSON Schema of their kind, or a rule beside it; `policies` in the context names every fault."""

    code = "schema-mismatch"
    advice = "`ledger-cli explain KIND` says what the network wants of a kind."


class TooLargeError(InvalidError):
    """The input exceeds a limit of `ledger.core.limits`."""

    code = "too-large"
    advice = "Send less at a time."


class TooCostlyError(InvalidError):
    """A query looks at more than `LIMITS` allows: steps of SQLite, values, pairs of policies, relatives."""

    code = "too-costly"
    advice = "Name a kind, add a condition on an indexed attribute (`ledger-cli explain query`), or ask for less at a time."


class AccessError(LedgerError):
    """Base of the two refusals of access."""

    code = "access"


class AuthenticationError(AccessError):
    """Who is asking is not proven."""

    code = "unauthenticated"
    advice = "Get a new token; if that fails, check that this member is still live."


class NotAllowedError(AccessError):
    """Who is asking, or who signed, may not do this."""

    code = "not-allowed"
    advice = "Ask an admin of the network for the permission."


class ConflictError(LedgerError):
    """Another statement came first, or the statement breaks a rule of the network."""

    code = "conflict"
    advice = "Sync, look at the present version, and publish again if the change still makes sense."


class VersionMismatchError(ConflictError):
    """The statement does not follow the last version of its policy: another one came first."""

    code = "version-mismatch"


class SizeMismatchError(ConflictError):
    """Compare-and-set on the tree size failed."""

    code = "size-mismatch"


class NotFoundError(LedgerError):
    """Nothing of that name is here."""

    code = "not-found"
    advice = "Check the spelling, or sync first."


class UnsupportedError(LedgerError):
    """The backend cannot do that (its traits say so)."""

    code = "unsupported"
    advice = "Use a ledger that has this trait."


class UnavailableError(LedgerError):
    """Base of the errors that another time or another source may cure."""

    code = "unavailable"
    advice = "Try again later."


class UnreachableError(UnavailableError):
    """No answer, or one that is no answer."""

    code = "unreachable"
    advice = "Check the URL and the network, then try again."


class BusyError(UnavailableError):
    """The service pushes back; `retry_after` is in seconds."""

    code = "busy"

    def __init__(self, message: str, *, retry_after: float = 1.0, advice: str | None = None) -> None:
        super().__init__(message, advice=advice, retry_after=retry_after)
        self.retry_after = retry_after


class NotReadyError(UnavailableError):
    """The service stands but does not serve this now."""

    code = "not-ready"


class OrderMovedError(NotReadyError):
    """The log goes on in another order, which this backend does not follow: open the ledger again."""

    code = "order-moved"
    advice = "Open the ledger again."


class StaleError(UnavailableError):
    """What is known is older than the caller accepts."""

    code = "stale"
    advice = "Sync, or accept older answers with a larger --max-age."


class OutcomeUnknown(UnavailableError):  # noqa: N818 - not a failure, and must not read like one
    """It may or may not have happened; look it up by digest, never resend blindly."""

    code = "outcome-unknown"
    advice = "Ask for the statement by its digest before sending it again."

    def __init__(self, message: str, *, operation: str) -> None:
        super().__init__(message, operation=operation)
        self.operation = operation


class VerificationError(LedgerError):
    """What came does not prove what it says."""

    code = "verification-failed"
    advice = "Do not use it. Get it again from another source."


class SignatureError(VerificationError):
    """A signature is missing, of the wrong key, or wrong."""

    code = "bad-signature"


class ProofError(VerificationError):
    """A Merkle proof does not lead to the root."""

    code = "bad-proof"


class BadSourceError(VerificationError):
    """The source cannot be used; others may be. Keeps what it sent as `evidence`."""

    code = "bad-source"


class AlarmError(LedgerError):
    """The log itself is under attack; the evidence is kept."""

    code = "alarm"
    advice = "Keep the evidence, compare with other nodes, and tell the network's admins."


class SplitViewError(AlarmError):
    """Two signed views of one log exist."""

    code = "split-view"


class RollbackError(AlarmError):
    """The log's clock key signed a smaller tree after a larger one."""

    code = "rollback"


class ForkRiskError(AlarmError):
    """Signing on could fork the log."""

    code = "fork-risk"


class InternalError(LedgerError):
    """A promise of our own was broken."""

    code = "internal"
    advice = "Keep the log lines and report this as a bug."


class CryptoLibraryError(InternalError):
    """A cryptographic library does not follow the acceptance rule of FORMATS section 2."""

    code = "crypto-library"
    advice = "Install the library versions that the project pins."


class CorruptError(InternalError):
    """Stored bytes are not what was stored."""

    code = "corrupt"
    advice = "Run `ledger-cli verify ledger`, then restore from a backup or sync afresh."


HTTP_STATUS: Mapping[type[LedgerError], int] = {
    LedgerError: 500,
    InvalidError: 400,
    TooLargeError: 413,
    AuthenticationError: 401,
    AccessError: 403,
    ConflictError: 409,
    SizeMismatchError: 412,
    NotFoundError: 404,
    UnsupportedError: 501,
    UnavailableError: 503,
    VerificationError: 422,
    AlarmError: 503,
    InternalError: 500,
}

EXIT_CODE: Mapping[type[LedgerError], int] = {
    LedgerError: 1,
    InvalidError: 2,
    AccessError: 3,
    ConflictError: 5,
    NotFoundError: 1,
    UnsupportedError: 2,
    UnavailableError: 4,
    VerificationError: 1,
    AlarmError: 5,
    InternalError: 1,
}

Row = TypeVar("Row")


def error_class(code: str) -> type[LedgerError]:
    """Return the class that owns `code`; `LedgerError` itself for a code that this version does not know."""
    waiting: list[type[LedgerError]] = [LedgerError]
    while waiting:
        cls = waiting.pop()
        if cls.code == code:
            return cls
        waiting.extend(cls.__subclasses__())
    return LedgerError


def lookup(table: Mapping[type[LedgerError], Row], error: LedgerError | type[LedgerError]) -> Row:
    """Return the row of `table` for `error`: its own class's, else its nearest ancestor's."""
    cls = error if isinstance(error, type) else type(error)
    return next(table[c] for c in cls.__mro__ if c in table)
