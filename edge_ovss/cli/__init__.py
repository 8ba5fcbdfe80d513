"""The command line: one module per verb, thin over the Python interface.

`python -m edge_ovss` and `edge-ovss` both call `main`. What a verb accepts stands in a module of
`cli/options/` (of `cli/options/proof/` for verbs that measure), with `EXAMPLES` (commands) and
`add_arguments(parser)`. It needs no package at all, so that --help and mistakes are answered at
once. What a verb does stands in its own module, as `run(args, console)`; it is imported once the
options are known to be right.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType

from edge_ovss._progress import no_bars
from edge_ovss._version import VERSION
from edge_ovss.cli.shared.completion import SHELLS, PrintCompletion
from edge_ovss.cli.shared.console import (
    Console,
    finish_stdout,
    give_up_stdout,
    prepare_streams,
    say,
)
from edge_ovss.cli.shared.parser import Parser, add_console_arguments
from edge_ovss.cli.shared.shown_warnings import shown_notes
from edge_ovss.cli.shared.signals import Terminated, signals_raise
from edge_ovss.errors import EdgeOvssError

VERBS = {
    "export": "freeze a vocabulary into a model and write a bundle",
    "calibrate": "make an FP16 or INT8 bundle from a float32 one",
    "build": "build a TensorRT engine of a bundle",
    "tune": "find the best bundle for this device by measuring",
    "run": "segment images, videos or a camera with a bundle",
    "demo": "run a small ready bundle: no export, no torch, no download",
    "selftest": "check that a bundle reproduces its reference output here",
    "words": "list, add, remove or replace the words of an open bundle",
    "set": "change the thresholds of a bundle below which a label is unknown",
    "inspect": "show what is in a bundle or an ONNX file",
    "emit": "write files with which Triton or ROS 2 runs a bundle",
    "doctor": "show what is installed and what each verb needs",
    "vocab": "list, show, check and encode vocabularies",
    "parity": "compare bundles with the torch model they came from",
    "eval": "score a bundle on a labeled data set (mIoU)",
    "bench": "measure latency, memory and cold start of a bundle",
    "report": "put everything measured of a bundle on one page",
    "data": "list data set layouts, check a data set",
}
"""Every verb with one line about it, in the order of the help."""

_IN_PROOF = ("parity", "eval", "bench", "report", "data")

INTERRUPTED = 130


def build_parser(only: str | None = None) -> Parser:
    """Return the parser of the whole command line.

    Args:
        only: The one verb that is imported and has its options; None for all of them.
    """
    parser = Parser(
        prog="edge-ovss",
        description="Open-vocabulary segmentation on the edge: from a checkpoint and class names "
        "to a\nbundle that segments camera images.",
        epilog="Exit status: 0 done, 1 a fault of edge-ovss, 2 wrong use, 3 something is not "
        "installed,\n4 bad input, 5 a bundle, graph or engine does not fit, 6 a gate failed, "
        "130 interrupted,\n143 ended by SIGTERM.",
    )
    parser.add_argument("--version", action="version", version=f"edge-ovss {VERSION}")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        whole=build_parser,
        help=f"print a completion script for {', '.join(SHELLS)} (needs the extra 'completion')",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        if only in (None, name):
            _add_verb(verbs, name, summary)
        else:
            verbs.add_parser(name, help=summary)
    return parser


def _add_verb(verbs: argparse._SubParsersAction[Parser], name: str, summary: str) -> None:
    options = importlib.import_module(f"edge_ovss.cli.options.{_place(name)}")
    sub = verbs.add_parser(name, help=summary, description=options.__doc__)
    add_console_arguments(sub)
    options.add_arguments(sub)
    sub.show_examples(options.EXAMPLES)


def _module_of(verb: str) -> ModuleType:
    return importlib.import_module(f"edge_ovss.cli.{_place(verb)}")


def _place(verb: str) -> str:
    return f"proof.{verb}" if verb in _IN_PROOF else verb


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status; a user's mistake never shows a traceback.

    Raises:
        SystemExit: After --help and --version, and for wrong arguments (status 2).
    """
    prepare_streams()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        args = build_parser(_verb_of(words)).parse_args(words)
    except SystemExit as left:
        raise SystemExit(left.code or finish_stdout()) from None
    except OSError as err:
        raise SystemExit(give_up_stdout(err)) from None
    except EdgeOvssError as err:
        say(f"error: {err}")
        return err.status
    status = _guarded(args)
    # After a failure too: Python would retry a failed write at exit.
    written = finish_stdout()
    return status or written


def _verb_of(words: Sequence[str]) -> str:
    """Return the first word that is not an option; "" if there is none."""
    return next((word for word in words if not word.startswith("-")), "")


def _guarded(args: argparse.Namespace) -> int:
    console = Console(json=args.json, quiet=args.quiet)
    try:
        bars = no_bars() if args.quiet else nullcontext()
        with signals_raise(), shown_notes(console), bars:
            return int(_module_of(args.verb).run(args, console))
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
    except Exception:  # a fault of edge-ovss: show the whole traceback
        say(traceback.format_exc().rstrip())
        say("error: this is a fault of edge-ovss; please report the lines above")
        return 1
