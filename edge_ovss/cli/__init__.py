"""The command line: one module per verb, thin over the Python interface.

`python -m edge_ovss` and `edge-ovss` both call `main`. A verb module has `SUMMARY` (one line),
`add_arguments(parser)` and `run(args, console)`; importing it needs nothing but numpy.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_ovss._version import VERSION
from edge_ovss.cli.shared.console import (
    Console,
    finish_stdout,
    give_up_stdout,
    prepare_streams,
    say,
)
from edge_ovss.cli.shared.signals import Terminated, signals_raise
from edge_ovss.cli.shared.source_notes import shown_notes
from edge_ovss.errors import EdgeOvssError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

VERBS = (
    "export",
    "calibrate",
    "build",
    "run",
    "selftest",
    "inspect",
    "doctor",
    "vocab",
    "parity",
    "eval",
    "bench",
    "report",
    "data",
)

INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser that does not keep to itself that its help could not be written."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        if file is None or file is sys.stderr:
            say(message.rstrip("\n"))
        else:
            file.write(message)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = _Parser(
        prog="edge-ovss",
        description="Open-vocabulary segmentation on the edge: words and a checkpoint go in, "
        "a bundle that segments a camera's pictures comes out.",
        epilog="Exit status: 0 done, 1 our fault, 2 wrong use, 3 something is not installed, "
        "4 bad input, 5 artefact does not fit, 6 a gate failed, 130 interrupted, "
        "143 ended by SIGTERM.",
    )
    parser.add_argument("--version", action="version", version=f"edge-ovss {VERSION}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in VERBS:
        module = importlib.import_module(f"edge_ovss.cli.{name}")
        sub = verbs.add_parser(name, help=module.SUMMARY, description=module.__doc__)
        sub.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        sub.add_argument("--quiet", action="store_true", help="no progress, no notes")
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status; a user's mistake never shows a traceback.

    Raises:
        SystemExit: After --help and --version, and for wrong arguments (status 2).
    """
    prepare_streams()
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as left:
        raise SystemExit(left.code or finish_stdout()) from None
    except OSError as err:
        raise SystemExit(give_up_stdout(err)) from None
    status = _guarded(args)
    # After a failure too: what cannot be written now would be tried again at exit.
    written = finish_stdout()
    return status or written


def _guarded(args: argparse.Namespace) -> int:
    console = Console(json=args.json, quiet=args.quiet)
    try:
        with signals_raise(), shown_notes(console):
            return int(args.run(args, console))
    except EdgeOvssError as err:
        say(f"error: {err}")
        return err.status
    except Terminated as err:
        say(f"ended by {err}")
        return err.status
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # as `finish_stdout` says
    except Exception:  # the last line of defence: a fault of ours, shown whole
        say(traceback.format_exc().rstrip())
        say("error: this is a fault of edge-ovss; please report the lines above")
        return 1
