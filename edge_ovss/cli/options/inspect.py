"""Show what is in a bundle or in an ONNX file, without running it."""

from __future__ import annotations

import argparse

EXAMPLES = (
    "edge-ovss inspect city.ovss",
    "edge-ovss inspect city.ovss/model.onnx --json",
    "edge-ovss inspect city.ovss/engines/tensorrt-0123456789abcdef/model.plan",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "path", metavar="PATH", help="a bundle, an .onnx file or an engine's model.plan"
    )
    parser.add_argument("--gate", metavar="LIST", help="licence=commercial")
    parser.add_argument(
        "--no-verify", action="store_true", help="do not compare the sha256 of files"
    )
