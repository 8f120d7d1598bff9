"""`ledger-cli`: verb, noun, options, as kubectl has them. Errors become two lines and an exit code here."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING

import click

from ledger.core.errors import EXIT_CODE, LedgerError, lookup

from . import about, members, network, output, policies, prove, query, serve
from .options import Invocation, common

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 yes · 1 verified false or not found · 2 usage or invalid input · 3 not allowed · "
    "4 unreachable, stale or not ready · 5 conflict, rollback or split view.",
)
@common
def cli(_invocation: Invocation) -> None:
    r"""Keep, read and verify the metadata ledger of an edge network.

    \b
    Start here:
      ledger-cli create network demo        a network in this home
      ledger-cli run master                 serve it
      ledger-cli create invite node-1 --type node
      ledger-cli join TOKEN --home ./node-1 a node's own home
      ledger-cli publish policy FILE        sign and publish
      ledger-cli get operator where company = acme
    """


for module in (network, members, policies, query, prove, serve, about):
    module.add_to(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code (docs/concepts.md, or `ledger-cli --help`)."""
    context_object = Invocation()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = cli.main(words, prog_name="ledger-cli", standalone_mode=False, obj=context_object)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.note("interrupted")
        return INTERRUPTED
    except LedgerError as error:
        if {"-v", "--verbose"} & set(words):
            output.note("".join(traceback.format_exception(error)).rstrip())
        output.failure(error)
        return lookup(EXIT_CODE, error)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone (`| head`); nothing is left to say
        return 0
    return result if isinstance(result, int) else 0
