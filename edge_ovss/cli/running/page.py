"""Open the page of `run --serve`; imported only if there is one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge_ovss.cli.shared.console import say
from edge_ovss.live.page.address import PageAddress, listen
from edge_ovss.live.page.server import require_libraries
from edge_ovss.live.page.sink import PageSink
from edge_ovss.live.page.state import PageInfo
from edge_ovss.live.page.word_desk import WordDesk
from edge_ovss.runtime.segmenter import Segmenter


def check_page(args: argparse.Namespace) -> None:
    """Check --serve before anything is loaded.

    Raises:
        UsageError: It has a wrong form.
        MissingDependencyError: The extra "serve" is not installed.
        InputError: The port is in use, or the host is not one of this machine.
    """
    address = PageAddress.parse(args.serve)
    require_libraries()
    listen(address).close()


def open_page(
    args: argparse.Namespace, segmenter: Segmenter, labels: Sequence[str] = ()
) -> PageSink:
    """Start the page, and print where it is.

    Args:
        args: With `serve` and `alpha`.
        segmenter: What segments the frames.
        labels: Of the cameras, as in `LiveFrame.source`.
    """
    info = PageInfo.of(segmenter, sources=labels, alpha=args.alpha)
    page = PageSink(PageAddress.parse(args.serve), info, WordDesk.of(segmenter))
    for url in page.urls:
        say(f"page: {url}", secret=True)
    return page
