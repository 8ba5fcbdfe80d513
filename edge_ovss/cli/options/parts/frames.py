"""The options of verbs that take frames from anywhere and show what is in them: run and demo."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import add_runtime_arguments, add_unknown_argument
from edge_ovss.cli.shared.stream_arguments import add_stream_arguments
from edge_ovss.runtime.overflow import KEEP, RERUN, WARN
from edge_ovss.runtime.saving import kinds

ERROR = "error"


def add_source(parser: argparse.ArgumentParser, *, help: str, nargs: str | None = None) -> None:
    """Add what is segmented."""
    parser.add_argument("source", metavar="SOURCE", nargs=nargs, help=help)


def add_frame_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that says what becomes of the frames; `demo` has them too."""
    _add_outputs(parser)
    add_runtime_arguments(parser)
    add_unknown_argument(parser)
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--on-overflow",
        choices=(KEEP, ERROR, RERUN, WARN),
        default=KEEP,
        metavar=f"{{{KEEP},{ERROR},{RERUN}}}",
        help="if a frame needs more slots than there are: keep the result and warn (default), end "
        "with status 6, or rerun the frame with the spare graph (export --spare-slots) and warn "
        "only if that overflows too",
    )
    add_stream_arguments(parser, background=True)
    _add_views(parser)
    _add_live(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", help="folder to write (default out)")
    parser.add_argument(
        "--save",
        metavar="LIST",
        help=f"what to write for every frame, separated by commas: {', '.join(kinds.SUFFIXES)}, "
        f"or none; default {','.join(kinds.DEFAULT)}, and none for cameras and streams",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.55,
        metavar="X",
        help="weight of the colors in overlays, 0 to 1 (default 0.55)",
    )
    parser.add_argument("--no-overlay", action="store_true", help="write no overlays")
    parser.add_argument("--save-scores", action="store_true", help="also write NAME.scores.npz")
    parser.add_argument(
        "--jsonl",
        action="store_true",
        help="print one line of JSON for every frame; the summary goes to stderr",
    )


def _add_views(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("views")
    group.add_argument(
        "--show",
        action="store_true",
        help="show overlays in a window: q ends, the space bar pauses",
    )
    group.add_argument(
        "--serve",
        metavar="[HOST:]PORT",
        help="show the run in a browser (needs the extra 'serve'); default host 127.0.0.1, any "
        "other needs the token that is printed",
    )
    group.add_argument(
        "--video",
        metavar="FILE",
        help="write overlays as a video (.mp4, .mov, .mkv) with the real times of the frames "
        "(needs the extra 'video')",
    )
    group.add_argument(
        "--bag",
        metavar="FOLDER",
        help="write label maps with their names as a recording of ROS 2 (needs the extra 'ros')",
    )
    group.add_argument(
        "--rerun",
        metavar="WHERE",
        help="log to Rerun: FILE.rrd, 'spawn' to open its viewer, or rerun+http://HOST:PORT/proxy "
        "(needs the extra 'rerun')",
    )


def _add_live(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "cameras and streams",
        "The newest frame is segmented and older ones are dropped. Ctrl-C ends with a summary.",
    )
    group.add_argument("--duration", type=float, metavar="S", help="stop after S seconds")
    group.add_argument(
        "--every", type=int, default=1, metavar="N", help="use every N-th frame (default 1: all)"
    )
    group.add_argument(
        "--max-fps", type=float, metavar="X", help="segment at most X frames per second"
    )
    group.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="S",
        help="longest wait for a source to open and to send its first frame (default 10)",
    )
    group.add_argument(
        "--reconnect",
        type=float,
        default=300.0,
        metavar="S",
        help="how long to try to open a lost source again (default 300; 0: never, inf: always)",
    )
