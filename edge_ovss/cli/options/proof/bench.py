"""Measure how long a bundle takes per frame on this device, from bytes to labels."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import (
    add_auto_build,
    add_bundle_argument,
    add_runtime_arguments,
    add_unknown_argument,
)
from edge_ovss.metrics.reported import BENCHMARK

EXAMPLES = (
    "edge-ovss bench city.ovss --count 200",
    "edge-ovss bench city-int8-cpu.ovss --against city.ovss",
    'edge-ovss bench city.ovss --backend tensorrt --gate "p99_ms<=50,peak_mib<=800"',
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    parser.add_argument(
        "--source",
        default="synthetic://street?count=4",
        metavar="SOURCE",
        help="frames to use in turn (default synthetic://street?count=4, 360x480)",
    )
    add_runtime_arguments(parser)
    add_auto_build(parser)
    add_unknown_argument(parser)
    parser.add_argument(
        "--warmup", type=int, default=5, metavar="N", help="frames before measuring (default 5)"
    )
    parser.add_argument("--count", type=int, metavar="N", help="frames to measure (default 50)")
    parser.add_argument(
        "--duration", type=float, metavar="S", help="measure for S seconds instead of a count"
    )
    parser.add_argument(
        "--cold-starts", type=int, default=1, metavar="N", help="cold starts to time (default 1)"
    )
    parser.add_argument(
        "--against",
        metavar="torch|BUNDLE",
        help="measure this too, interleaved, and print the ratio",
    )
    parser.add_argument("--checkpoint", metavar="FILE", help="checkpoint for --against torch")
    parser.add_argument("--embeddings", metavar="FILE", help="embedding pack for --against torch")
    parser.add_argument(
        "--gate",
        metavar="LIST",
        help=f"conditions on {', '.join(BENCHMARK)}; licence=commercial",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="results (default BUNDLE/reports/bench-BACKEND.json)"
    )
