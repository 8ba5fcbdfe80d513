"""Open the views that `run` is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_ovss._safe_text import shown
from edge_ovss.cli.shared.console import Console
from edge_ovss.live.sinks import Settings, Sink, close_all
from edge_ovss.live.views.bag import BagFile
from edge_ovss.live.views.painting import Painter
from edge_ovss.live.views.video import VideoFile
from edge_ovss.live.views.window import Window
from edge_ovss.runtime.segmenter import Segmenter


@dataclass
class Views:
    """The views of a run.

    Attributes:
        painter: Draws the overlays of the views that do not draw their own.
        sinks: The views, in order.
        video: The one that writes a video.
        bag: The recording of ROS that is written.
        unknown: Threshold that a view asked for; None for that of the bundle or of --unknown.
    """

    painter: Painter
    sinks: list[Sink] = field(default_factory=list)
    video: VideoFile | None = None
    bag: Path | None = None
    unknown: float | None = None

    def heed(self, settings: Settings) -> None:
        """Do what a view asks for."""
        if settings.alpha is not None:
            self.painter.alpha = settings.alpha
        self.unknown = settings.unknown

    def note_saved(self, console: Console) -> None:
        """Say what was written, after all views were closed without an error."""
        for path in [*(self.video.written if self.video else ()), *filter(None, [self.bag])]:
            console.note(f"wrote {shown(path)}")


def open_views(
    args: argparse.Namespace, segmenter: Segmenter, *, live: bool, labels: Sequence[str] = ()
) -> Views:
    """Open the views.

    Args:
        args: The options.
        segmenter: Its names and colors are shown.
        live: Whether frames come from cameras.
        labels: Names of the cameras.

    Raises:
        InputError: The port of --serve is in use.
        MissingDependencyError: A package or a screen is missing.
        OutputError: A file cannot be written.
        UsageError: A name is wrong.
    """
    views = Views(Painter(segmenter.names, segmenter.palette, args.alpha, apart=live))
    try:
        _open_all(args, segmenter, views, live=live, labels=labels)
    except BaseException as err:
        close_all(views.sinks, failed=err)  # and raises it
    return views


def _open_all(
    args: argparse.Namespace,
    segmenter: Segmenter,
    views: Views,
    *,
    live: bool,
    labels: Sequence[str],
) -> None:
    if args.show:
        views.sinks.append(Window(views.painter, _title(args.source)))
    if args.video is not None:
        views.video = VideoFile(Path(args.video), views.painter, live=live)
        views.sinks.append(views.video)
    if args.bag is not None:
        views.bag = Path(args.bag)
        views.sinks.append(BagFile(views.bag, segmenter.names))
    if args.rerun is not None:
        from edge_ovss.live.views.rerun_log import RerunLog

        views.sinks.append(RerunLog(args.rerun, segmenter.palette))
    if args.serve is not None:
        from edge_ovss.cli.running.page import open_page

        views.sinks.append(open_page(args, segmenter, labels))


def _title(sources: Sequence[str]) -> str:
    return "edge-ovss" if len(sources) != 1 or "://" in sources[0] else f"edge-ovss {sources[0]}"
