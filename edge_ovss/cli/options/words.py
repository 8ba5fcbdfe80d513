"""Change the words of an open bundle on the device: no torch, no export, no new engine."""

from __future__ import annotations

import argparse

from edge_ovss.cli.shared.runtime_options import add_bundle_argument

EXAMPLES = (
    "edge-ovss words open.ovss list",
    'edge-ovss words open.ovss --add "forklift; lift truck"',
    'edge-ovss words open.ovss --remove "bus, car"',
    'edge-ovss words open.ovss --set "road, car, person"',
    "edge-ovss words open.ovss --undo",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    add_bundle_argument(parser)
    parser.add_argument("action", nargs="?", choices=("list",), help="list the words (the default)")
    what = parser.add_argument_group("what to change")
    what.add_argument(
        "--set",
        dest="set_to",
        metavar="NAME|FILE|LIST",
        help="have these words and no others: a built-in vocabulary, a file, or names",
    )
    what.add_argument(
        "--add",
        action="append",
        metavar="LIST|FILE",
        help="have more words; ';' separates names of the same one; may be given several times",
    )
    what.add_argument(
        "--remove",
        action="append",
        metavar="LIST",
        help="have these words no longer; may be given several times",
    )
    what.add_argument("--undo", action="store_true", help="have the words before the last change")
    source = parser.add_argument_group("embeddings of new words")
    source.add_argument(
        "--embeddings",
        metavar="PACK",
        help="embedding pack (vocab encode); alone: its words",
    )
    source.add_argument(
        "--tower",
        metavar="DIR",
        help="text tower (edge-ovss vocab tower); by default that of the bundle, one beside it "
        "(*.tower), or one in the cache",
    )
    source.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all cores)")
    parser.add_argument(
        "--calibration",
        metavar="SOURCE",
        help="images on which to count frames that overflow the slots, with the new words or, "
        "without a change, those that are there",
    )
    parser.add_argument(
        "--float",
        dest="float32",
        metavar="BUNDLE",
        help="of an INT8 bundle, the float32 bundle that was calibrated: with --calibration, "
        "calibrate it with the new words and compare labels (needs edge-ovss[export])",
    )
