"""Make a bundle of lower precision: FP16 with FP32 islands, or measured INT8."""

from __future__ import annotations

from edge_ovss.cli.shared.parser import Parser
from edge_ovss.cli.shared.precision_options import RARE, add_precision_arguments

EXAMPLES = (
    "edge-ovss calibrate city.ovss --precision fp16 --calibration images/ --count 50",
    "edge-ovss calibrate city.ovss --target cpu --calibration images.txt \\\n"
    "      --validation labeled/ --layout folder --max-miou-drop 1",
    "edge-ovss calibrate city.ovss --config calibration/configs/cpu-int8.toml \\\n"
    "      --calibration images/ --validation labeled/ --layout folder",
)


def add_arguments(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="a float32 bundle")
    parser.add_config()
    parser.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="required: images to measure ranges on, as a folder, a list file (.txt), a video, or "
        "synthetic://street?count=300",
    )
    add_precision_arguments(parser, ("fp16", "int8"), default="int8")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the choice of images (default 0)"
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="bundle to write (default BUNDLE-fp16.ovss, -int8.ovss or -int8-cpu.ovss)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is there")
    parser.hide(*RARE)
