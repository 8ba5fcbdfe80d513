"""Run over cameras and streams: the newest frame, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edge_ovss._files import make_folder
from edge_ovss.cli.running.ending import finish
from edge_ovss.cli.running.streams import FrameAnswers, refuse_stored_flow, stream_options
from edge_ovss.cli.running.views import open_views
from edge_ovss.cli.running.wishes import check_outputs, saved_kinds
from edge_ovss.cli.shared.console import Console, say
from edge_ovss.cli.shared.live_output import summary_document, summary_text
from edge_ovss.cli.shared.run_output import Lines, Tally
from edge_ovss.cli.shared.signals import stoppable
from edge_ovss.frames.cameras.addresses import CameraAddress, parse_camera
from edge_ovss.frames.cameras.opening import open_camera
from edge_ovss.live.grabber import LiveSource
from edge_ovss.live.loop import LiveOptions, LiveRun
from edge_ovss.live.sinks import LiveFrame, Sink
from edge_ovss.live.views.files import SavedFrames
from edge_ovss.runtime.result_writer import AnswerWriter
from edge_ovss.runtime.segmenter import Segmenter

_REFRESH_S = 0.5


def run_live(
    args: argparse.Namespace, console: Console, segmenter: Segmenter, sources: Sequence[LiveSource]
) -> int:
    """Segment the newest frames until something ends the run; print the summary in any case."""
    options = stream_options(args)
    refuse_stored_flow(options)
    saved = _saved_frames(args, segmenter)
    views = open_views(args, segmenter, live=True, labels=[source.label for source in sources])
    segmented = FrameAnswers(lambda image: segmenter.segment(image, unknown=views.unknown), options)
    tally = Tally()
    sinks: list[Sink] = [*views.sinks]
    if saved is not None:
        sinks.insert(0, saved)
    sinks.append(_Counting(tally, lines=args.jsonl, progress=not console.quiet))
    run = LiveRun(
        sources,
        segmented.answer,
        sinks,
        live_options(args),
        warn=console.warn,
        on_settings=views.heed,
    )
    ended_by: BaseException | None = None
    try:
        with stoppable() as stop:
            run.run(stop.check)
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, Exception) as err:  # the summary is printed first
        ended_by = err
    finally:
        segmented.close()
    facts: dict[str, object] = {
        "bundle": str(args.bundle),
        "backend": segmenter.backend,
        "out": None if saved is None else str(args.out or "out"),
        "saved": 0 if saved is None else saved.count,
    }
    if args.jsonl:
        console.note(summary_text(run.summary))
    elif tally.frames or isinstance(ended_by, KeyboardInterrupt):
        document = facts | summary_document(run.summary, tally, ended_by) | segmented.to_json()
        console.result(summary_text(run.summary), document)
    if ended_by is None or isinstance(ended_by, KeyboardInterrupt):
        views.note_saved(console)
    segmented.say(console)
    finish(args, console, tally, (), ended_by)
    return 0


def live_options(args: argparse.Namespace) -> LiveOptions:
    """Return the options of the loop."""
    return LiveOptions(
        limit=args.limit,
        duration_s=args.duration,
        every=args.every,
        max_fps=args.max_fps,
        timeout_s=args.timeout,
        reconnect_s=args.reconnect,
    )


def live_sources(specs: Sequence[str], timeout_s: float) -> list[LiveSource]:
    """Return the cameras; nothing is opened yet.

    Sources that look alike without their secrets get numbers.

    Raises:
        UsageError: An address has a wrong option.
    """
    addresses = [parse_camera(spec) for spec in specs]
    labels = _numbered([address.label for address in addresses], " ({})")
    stems = _numbered([address.stem for address in addresses], "-{}")
    return [
        _source(address, label, stem, timeout_s)
        for address, label, stem in zip(addresses, labels, stems, strict=True)
    ]


def _source(address: CameraAddress, label: str, stem: str, timeout_s: float) -> LiveSource:
    return LiveSource(label, stem, partial(open_camera, address, timeout_s), address.ends)


def _numbered(names: Sequence[str], form: str) -> list[str]:
    counts, seen, found = Counter(names), Counter[str](), []
    for name in names:
        seen[name] += 1
        found.append(name + form.format(seen[name]) if counts[name] > 1 else name)
    return found


def _saved_frames(args: argparse.Namespace, segmenter: Segmenter) -> SavedFrames | None:
    saved = saved_kinds(args, live=True)
    check_outputs(args, saved, segmenter.bundle)
    if not saved:
        return None
    folder = make_folder(Path(args.out or "out"))
    return SavedFrames(AnswerWriter(folder, segmenter.palette, saved, args.alpha))


class _Counting:
    """The last of the views: counts, prints lines, and shows progress on a terminal."""

    def __init__(self, tally: Tally, *, lines: bool, progress: bool) -> None:
        self._tally, self._lines = tally, Lines() if lines else None
        self._live = progress and sys.stderr is not None and sys.stderr.isatty()
        self._start_s, self._due_s, self._shown = time.monotonic(), 0.0, False

    def show(self, frame: LiveFrame) -> None:
        facts = dict(frame.facts)
        self._tally.add(facts)
        if self._lines is not None:
            self._lines.add(facts)
        if self._live and frame.shown_s >= self._due_s:
            self._due_s, self._shown = frame.shown_s + _REFRESH_S, True
            rate = self._tally.frames / max(time.monotonic() - self._start_s, 1e-3)
            total = frame.result.timings["total"]
            line = (
                f"frame {self._tally.frames}  {rate:.1f} per second  latency {total:.0f} ms  "
                f"age {1000 * frame.age_s:.0f} ms  dropped {frame.dropped}  "
            )
            say(line, live=True)

    def close(self) -> None:
        if self._shown:
            say("")
