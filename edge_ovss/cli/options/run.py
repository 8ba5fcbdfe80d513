"""Segment images, recordings, cameras or synthetic streets with a bundle."""

from __future__ import annotations

import argparse

from edge_ovss.cli.options.parts.frames import add_frame_options, add_source
from edge_ovss.cli.shared.runtime_options import add_auto_build, add_bundle_argument
from edge_ovss.frames.grammar import GRAMMAR

EXAMPLES = (
    "edge-ovss run city.ovss street.jpg",
    "edge-ovss run city.ovss recordings/ --out labels --save labels,rle --json",
    "edge-ovss run city.ovss 0 --show",
    "edge-ovss run city.ovss /dev/video0 --serve 8080",
    "edge-ovss run city.ovss drive.mp4 --stabilize --keyframe 2",
    "edge-ovss run city.ovss rtsp://10.0.0.7/1 --video today.mp4 --duration 3600",
    "edge-ovss run city.ovss /dev/video0 /dev/video2 --jsonl --max-fps 5",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.description = f"{__doc__}\n\n{GRAMMAR}"
    add_bundle_argument(parser)
    add_source(
        parser,
        nargs="+",
        help="see above; several recordings follow one another, several cameras take turns",
    )
    add_frame_options(parser)
    add_auto_build(parser)
