"""Read the options of `cli.shared.stream_arguments`."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.stream_arguments import ASYNC
from edge_ovss.errors import UsageError

_DIGITS = 6


def read_keyframe(args: argparse.Namespace) -> int | None:
    """Return N of --keyframe; None for "async".

    Raises:
        UsageError: It is neither a whole number of at least 1 nor, where that is taken, "async".
    """
    text = str(args.keyframe)
    if text == ASYNC:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS and int(text) >= 1:
        return int(text)
    message = f"--keyframe is '{text}'; expected a whole number of at least 1, or {ASYNC}."
    hint = "1: the network sees every frame; 2: every second one, at half the work."
    raise UsageError(message, hint=hint)


def asks_for_stream(args: argparse.Namespace) -> bool:
    """Return whether any option says that frames follow each other."""
    return args.stabilize is not None or args.flow is not None or str(args.keyframe) != "1"


def refuse_useless_flow(args: argparse.Namespace) -> None:
    """Check that --flow has something to move.

    Raises:
        UsageError: It has not.
    """
    if args.flow is not None and args.stabilize is None and str(args.keyframe) == "1":
        message = f"--flow {args.flow} is given, but nothing follows labels from frame to frame."
        raise UsageError(message, hint="Give --stabilize or --keyframe 2 too, or omit it.")
