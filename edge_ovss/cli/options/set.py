"""Change a setting of a bundle: the thresholds below which a label is unknown."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import UNKNOWN_FORMS, add_bundle_argument

EXAMPLES = (
    "edge-ovss set city.ovss --unknown 0.2",
    "edge-ovss set city.ovss --unknown thresholds.json",
    "edge-ovss set city.ovss --unknown off",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    parser.add_argument(
        "--unknown",
        required=True,
        metavar="off|auto|T|FILE",
        help=f"the new default: {UNKNOWN_FORMS}",
    )
