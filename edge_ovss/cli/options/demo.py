"""Run a small ready bundle that comes with edge-ovss: no export, no torch, no download."""

from __future__ import annotations

import argparse

from edge_ovss.cli.options.parts.frames import add_frame_options, add_source
from edge_ovss.frames.grammar import GRAMMAR

EXAMPLES = (
    "edge-ovss demo",
    "edge-ovss demo street.jpg",
    "edge-ovss demo 0 --serve 8000",
    "edge-ovss demo --copy street.ovss",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb: those of `run`, and --copy."""
    parser.description = f"{__doc__}\n\n{GRAMMAR}"
    add_source(parser, nargs="*", help="see above; default: four drawn streets")
    parser.add_argument(
        "--copy",
        metavar="PATH",
        help="only copy the ready bundle to PATH, for the other verbs: build, bench, inspect, ...",
    )
    add_frame_options(parser)
