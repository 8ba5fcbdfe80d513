"""Build what starts or runs a bundle faster on one machine, and check its output."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import add_bundle_argument
from edge_ovss.runtime.trt.variants import FLAVORS

OPTIMIZED = "onnxruntime"
"""The backend for which the optimized graph is kept; the others of `build` have engines."""

EXAMPLES = (
    "edge-ovss build city.ovss --backend tensorrt",
    "edge-ovss build city.ovss --backend tensorrt-rtx --compute-capability 8.6,8.9",
    "edge-ovss build city.ovss --backend tensorrt --min 360x480 --max 1080x1920",
    "edge-ovss build city.ovss --backend onnxruntime",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    parser.add_argument(
        "--backend",
        required=True,
        metavar="NAME",
        help=f"{' or '.join(FLAVORS)}, for an engine; or {OPTIMIZED}, to keep the graph as it is "
        "optimized for this processor, which shortens the start",
    )
    sizes = parser.add_argument_group("frame sizes (height x width)")
    sizes.add_argument(
        "--size", metavar="HxW", help="the only size (default that of the reference frame)"
    )
    sizes.add_argument("--min", metavar="HxW", help="smallest size of a range")
    sizes.add_argument(
        "--opt", metavar="HxW", help="size the engine is tuned for (default the largest)"
    )
    sizes.add_argument("--max", metavar="HxW", help="largest size of a range")
    parser.add_argument(
        "--compute-capability",
        metavar="LIST",
        help="such as 8.6,8.9,12.0; tensorrt-rtx only (default this GPU, or these three)",
    )
    parser.add_argument(
        "--workspace",
        type=int,
        metavar="MIB",
        help="scratch memory for the build (default on a Jetson: half of what is free)",
    )
    parser.add_argument("--optimization-level", type=int, metavar="N", help="0 to 5 (default 3)")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 where FP32 is asked for")
    parser.add_argument(
        "--timing-cache", action="store_true", help="keep timings in the bundle (tensorrt only)"
    )
    parser.add_argument(
        "--compatible",
        metavar="LIST",
        help="hardware: also GPUs from Ampere on; version: also later TensorRT of this major "
        "version; somewhat slower; tensorrt on desktops only",
    )
    parser.add_argument(
        "--pin-timings",
        metavar="SHA256",
        help="build with exactly these kept timings (build.json: timings.after); tensorrt only",
    )
    parser.add_argument(
        "--allow-float",
        type=float,
        default=0.0,
        metavar="PERCENT",
        help="share of the heavy layers of an FP16 or INT8 bundle that may run in FP32 (default 0)",
    )
    parser.add_argument("--overwrite", action="store_true", help="build again if it is there")
    parser.add_argument("--dla", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--require-faster", action="store_true", help=argparse.SUPPRESS)
