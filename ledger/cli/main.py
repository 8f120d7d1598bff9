"""`ledger-cli`: verb, noun, options, as kubectl has them. Errors become two lines and an exit code here."""

from __future__ import annotations

import gc
import sys
import traceback
from typing import TYPE_CHECKING

import click

from ledger.core.errors import EXIT_CODE, InternalError, LedgerError, UnavailableError, UsageError, lookup

from . import (
    about,
    archive,
    ceremony,
    chaincode,
    chains,
    explain,
    indexes,
    members,
    mirrors,
    network,
    operations,
    output,
    passphrase,
    past,
    policies,
    prove,
    query,
    revoke,
    rotate,
    serve,
    submit,
)
from .options import Invocation, common
from .verbs import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
YOUNG_OBJECTS = 20_000
VERBOSE = frozenset({"-v", "--verbose"})


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 yes · 1 verified false or not found · 2 usage or invalid input · 3 not allowed · "
    "4 unreachable, stale or not ready · 5 conflict, rollback or split view. docs/cli.md has every command.",
)
@common
def cli(_invocation: Invocation) -> None:
    """Keep, read and verify the metadata ledger of an edge network.

    Start here:
      ledger-cli create network demo                         a network, in this home
      ledger-cli run master                                  serve it
      ledger-cli create invite node-1 --type node --out FILE let a node in
      ledger-cli join @FILE --home ./node-1                  a node's own home
      ledger-cli publish policy FILE                         sign and publish
      ledger-cli get operator where company = acme           ask
      ledger-cli get receipt ID -o FILE                      proof of it
      ledger-cli verify receipt FILE                         check the proof, offline
    """


for module in (
    network,
    chains,
    chaincode,
    mirrors,
    members,
    ceremony,
    policies,
    submit,
    query,
    past,
    explain,
    indexes,
    operations,
    prove,
    archive,
    serve,
    revoke,
    rotate,
    passphrase,
    about,
):
    module.add_to(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (docs/cli.md, or `ledger-cli --help`)."""
    # Nearly all that a command makes while it loads stays: looking for cycles in it every 700 objects takes a tenth of its time.
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = cli.main(words, prog_name="ledger-cli", standalone_mode=False, obj=Invocation())
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _fail(_usage(error), words)
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return INTERRUPTED
    except LedgerError as error:
        return _fail(error, words)
    except OSError as error:
        return _fail(_refused(error), words)
    except Exception as error:  # noqa: BLE001 - the last resort: two lines and an exit code, for bugs too
        return _fail(_bug(error), words)
    return result if isinstance(result, int) else 0


def _fail(error: LedgerError, words: Sequence[str]) -> int:
    if VERBOSE & set(words):
        output.note("".join(traceback.format_exception(error)).rstrip())
    output.failure(error)
    return lookup(EXIT_CODE, error)


def _usage(error: click.ClickException) -> UsageError:
    context = error.ctx if isinstance(error, click.UsageError) else None
    path = "ledger-cli" if context is None else context.command_path
    found = UsageError(error.format_message().rstrip("."), advice=f"See `{path} --help`.")
    found.__cause__ = error
    return found


def _refused(error: OSError) -> LedgerError:
    what = error.strerror or str(error) or type(error).__name__
    found = UnavailableError(what if error.filename is None else f"{error.filename}: {what}", advice="Check the path and who may write it.")
    found.__cause__ = error
    return found


def _bug(error: Exception) -> LedgerError:
    found = InternalError(f"{type(error).__name__}: {error}", advice="This is a bug: report it with what -v shows.")
    found.__cause__ = error
    return found
