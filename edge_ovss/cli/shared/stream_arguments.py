"""The options of verbs that take frames as a stream: run and eval."""

from __future__ import annotations

import argparse

HOLD_MS = 150.0
ASYNC = "async"
FLOWS = ("dis", "dis:ultrafast", "dis:medium", "none")


def add_stream_arguments(
    parser: argparse.ArgumentParser, *, flows: tuple[str, ...] = FLOWS, background: bool = False
) -> None:
    """Add --stabilize, --keyframe and --flow.

    Args:
        parser: Of the verb.
        flows: What --flow takes.
        background: Whether --keyframe takes "async".
    """
    group = parser.add_argument_group("video")
    group.add_argument(
        "--stabilize",
        type=float,
        nargs="?",
        const=HOLD_MS,
        metavar="HOLD_MS",
        help="follow labels from frame to frame, and hold one against the network for at most "
        f"HOLD_MS (default {HOLD_MS:g}); a change is shown that much later",
    )
    form = "N|async" if background else "N"
    more = "; async: the network runs in its own thread, on the newest frame" if background else ""
    group.add_argument(
        "--keyframe",
        default="1",
        metavar=form,
        help=f"the network sees every N-th frame; labels move along in between (default 1){more}",
    )
    group.add_argument(
        "--flow",
        metavar="NAME|FILE",
        help=f"how labels move: {', '.join(flows)} (labels stay where they are); or a .npy file "
        "with the vectors of every frame; default dis",
    )
