"""Put everything measured of a bundle on one page: HTML, JSON and a Markdown model card."""

from __future__ import annotations

import argparse

EXAMPLES = (
    "edge-ovss report city.ovss",
    "edge-ovss report city.ovss --include results/ --out city.html",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="bundle whose folder 'reports' is read")
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATH",
        help="more results: files or folders that eval, parity or bench wrote; repeatable",
    )
    parser.add_argument("--out", metavar="FILE", help="page (default BUNDLE/reports/report.html)")
