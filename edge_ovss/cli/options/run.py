"""Segment an image, a folder, a video, a camera or synthetic streets with a bundle."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import (
    add_bundle_argument,
    add_runtime_arguments,
    add_unknown_argument,
)
from edge_ovss.runtime.overflow import KEEP, RERUN, WARN

EXAMPLES = (
    "edge-ovss run city.ovss street.jpg",
    "edge-ovss run city.ovss recordings/ --out labels --no-overlay --json",
    "edge-ovss run city.ovss /dev/video0 --backend tensorrt --limit 100",
)
ERROR = "error"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    add_source(
        parser,
        help="image, folder, list (.txt), video, /dev/video0, rtsp://..., or "
        "synthetic://street?count=4&seed=0&size=360x480",
    )
    add_frame_options(parser)


def add_source(parser: argparse.ArgumentParser, *, help: str, nargs: str | None = None) -> None:
    """Add what is segmented."""
    parser.add_argument("source", metavar="SOURCE", nargs=nargs, help=help)


def add_frame_options(parser: argparse.ArgumentParser) -> None:
    """Add every option that says what becomes of the frames; `demo` has them too."""
    parser.add_argument("--out", default="out", metavar="DIR", help="folder to write (default out)")
    add_runtime_arguments(parser)
    add_unknown_argument(parser)
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.55,
        metavar="X",
        help="weight of the colors in overlays, 0 to 1 (default 0.55)",
    )
    parser.add_argument("--no-overlay", action="store_true", help="write no overlays")
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
    parser.add_argument("--save-scores", action="store_true", help="also write NAME.scores.npz")
