"""The command line: one module per verb, thin over the Python interface.

`python -m edge_ovss` and `edge-ovss` both call `main`. A verb module has `SUMMARY` (one line),
`add_arguments(parser)` and `run(args, console)`; importing it needs nothing but numpy.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from edge_ovss._version import VERSION
from edge_ovss.cli._console import Console
from edge_ovss.cli._signals import Terminated, signals_raise
from edge_ovss.errors import EdgeOvssError

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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
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
    """Run one verb and return the exit status; a user's mistake never shows a traceback."""
    args = build_parser().parse_args(argv)
    console = Console(json=args.json, quiet=args.quiet)
    try:
        with signals_raise():
            return int(args.run(args, console))
    except EdgeOvssError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.status
    except Terminated as err:
        print(f"ended by {err}", file=sys.stderr)
        return err.status
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of stdout left (`edge-ovss … | head`): nobody is there to be told.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:  # the last line of defence: a fault of ours, shown whole
        traceback.print_exc()
        print("error: this is a fault of edge-ovss; please report the lines above", file=sys.stderr)
        return 1
