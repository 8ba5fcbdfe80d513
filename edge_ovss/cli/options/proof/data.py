"""List the known data set layouts, or check a labeled data set for common mistakes."""

from __future__ import annotations

from edge_ovss.cli.shared.data_options import add_data_arguments
from edge_ovss.cli.shared.parser import Parser, add_console_arguments

EXAMPLES = (
    "edge-ovss data layouts",
    "edge-ovss data check labeled/ --layout folder --classes classes.txt",
)


def add_arguments(parser: Parser) -> None:
    """Add the actions of this verb."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    layouts = actions.add_parser("layouts", help="list the layouts that --layout takes")
    check = actions.add_parser(
        "check", help="look for wrong counts, label ranges, sizes, bit depths and shifted labels"
    )
    for sub in (layouts, check):
        add_console_arguments(sub, again=True)
    add_data_arguments(check)
