"""Check that a bundle is whole, and that it reproduces its reference output on this machine."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import (
    add_bundle_argument,
    add_runtime_arguments,
    add_unknown_argument,
)

EXAMPLES = ("edge-ovss selftest city.ovss", "edge-ovss selftest city.ovss --backend tensorrt")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    add_runtime_arguments(parser)
    add_unknown_argument(parser)
