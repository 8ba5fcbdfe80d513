"""Score a bundle on a labeled data set, on this device: mIoU and related numbers."""

from __future__ import annotations

from edge_ovss.cli.shared.data_options import RARE, add_data_arguments, add_protocol_argument
from edge_ovss.cli.shared.parser import Parser
from edge_ovss.cli.shared.runtime_options import (
    add_auto_build,
    add_bundle_argument,
    add_runtime_arguments,
    add_unknown_argument,
)
from edge_ovss.cli.shared.stream_arguments import FLOWS, add_stream_arguments
from edge_ovss.metrics.reported import EVALUATION, TUNED, VIDEO

EXAMPLES = (
    "edge-ovss eval city.ovss ADE20K/ --layout ade150",
    "edge-ovss eval city.ovss labeled/ --layout folder --classes classes.txt --limit 100",
    'edge-ovss eval city.ovss ADE20K/ --layout ade150 --gate "miou>=30,p99_ms<=50"',
    "edge-ovss eval city.ovss labeled/ --layout folder --missing-unknown",
    "edge-ovss eval city.ovss CamVid/ --layout camvid-video --keyframe 2 --stabilize",
    "edge-ovss eval city.ovss labeled/ --layout folder --tune-unknown --out city-unknown.json",
)


def add_arguments(parser: Parser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    add_data_arguments(parser)
    add_runtime_arguments(parser)
    add_auto_build(parser)
    add_unknown_argument(parser)
    add_protocol_argument(parser)
    parser.add_argument(
        "--preproc",
        choices=("fast", "published"),
        default="fast",
        help="published: shortest edge to 640 first, labels at the original size (needs scores)",
    )
    parser.add_argument(
        "--gate",
        metavar="LIST",
        help=f"conditions on {', '.join(EVALUATION)}; of videos also {', '.join(VIDEO)}; "
        "licence=commercial",
    )
    parser.add_argument(
        "--out",
        metavar="DIR|FILE",
        help="results (default BUNDLE/reports/eval-...); with --tune-unknown the file of "
        "thresholds (default BUNDLE/reports/unknown-....json)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="start over instead of resuming a stopped run"
    )
    parser.add_argument(
        "--missing-unknown",
        action="store_true",
        help="expect 'unknown' at the pixels of categories that the vocabulary has no name for",
    )
    parser.add_argument(
        "--tune-unknown",
        action="store_true",
        help="instead: find the thresholds of 'unknown' that are best on these images, and write "
        "a file for --unknown",
    )
    parser.add_argument(
        "--figure",
        choices=tuple(TUNED),
        default=next(iter(TUNED)),
        help="what --tune-unknown maximizes, "
        + "; ".join(f"{name}: {text}" for name, text in TUNED.items())
        + f" (default {next(iter(TUNED))})",
    )
    add_stream_arguments(parser, flows=("exact", *FLOWS))
    parser.add_argument(
        "--fps",
        type=float,
        metavar="N",
        help="the images are videos of N frames per second, each folder one (default that of the "
        "layout)",
    )
    parser.add_argument(
        "--video-queries",
        action="store_true",
        help="instead of the bundle: the published video mode of its model in torch, which sees "
        "each video as a whole (research, offline; needs the extras 'export' and 'clips')",
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="for --video-queries: the checkpoint of the export"
    )
    parser.hide(*RARE, "--preproc", "--video-queries", "--checkpoint")
