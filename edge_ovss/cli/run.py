"""Run `edge-ovss run`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from edge_ovss.cli.running.live import live_sources, run_live
from edge_ovss.cli.running.ordered import ordered_frames, run_ordered
from edge_ovss.cli.running.wishes import check_folders, check_options
from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.frames.cameras.opening import is_recording
from edge_ovss.frames.several import expand
from edge_ovss.frames.source_kinds import is_live
from edge_ovss.runtime.overflow import KEEP, RERUN


def run(args: argparse.Namespace, console: Console) -> int:
    """Segment recordings in order, or cameras as they come."""
    args.source = [args.source] if isinstance(args.source, str) else args.source
    check_options(args)
    specs = expand(args.source)
    check_folders(args)
    policy = RERUN if args.on_overflow == RERUN else KEEP
    if _never_ends(specs, args.timeout):
        sources = live_sources(specs, args.timeout)
        with open_segmenter(args, on_overflow=policy) as segmenter:
            return run_live(args, console, segmenter, sources)
    frames = ordered_frames(args, specs)
    with open_segmenter(args, on_overflow=policy) as segmenter:
        return run_ordered(args, console, segmenter, frames)


def _never_ends(specs: Sequence[str], timeout_s: float) -> bool:
    """Whether the sources are live; a video file on a web server is not."""
    return is_live(specs[0]) and not all(is_recording(spec, timeout_s) for spec in specs)
