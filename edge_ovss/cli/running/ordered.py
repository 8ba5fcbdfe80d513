"""Run over images and recordings: every frame, in order."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge_ovss._files import make_folder
from edge_ovss.cli.running.ending import finish
from edge_ovss.cli.running.streams import FrameAnswers, stream_options
from edge_ovss.cli.running.views import Views, open_views
from edge_ovss.cli.running.wishes import check_outputs, saved_kinds
from edge_ovss.cli.shared.console import Console
from edge_ovss.cli.shared.run_output import Document, Lines, Table, Tally, how_it_ended
from edge_ovss.cli.shared.signals import stoppable
from edge_ovss.errors import PictureError
from edge_ovss.frames.several import open_sources
from edge_ovss.frames.sources import Frame
from edge_ovss.live.ordered import OrderedViews
from edge_ovss.runtime.result_writer import AnswerWriter
from edge_ovss.runtime.segmenter import Segmenter

Answers = Document | Table | Lines


def run_ordered(
    args: argparse.Namespace, console: Console, segmenter: Segmenter, frames: Iterator[Frame]
) -> int:
    """Segment every frame; an image that cannot be read is reported, and the others go on."""
    saved = saved_kinds(args, live=False)
    check_outputs(args, saved, segmenter.bundle)
    options = stream_options(args)
    out = args.out or "out"
    facts = {
        "bundle": str(args.bundle),
        "backend": segmenter.backend,
        "out": str(out) if saved else None,
    }
    answers: Answers = Lines() if args.jsonl else Table(facts)
    if console.json:
        answers = Document(facts)
    folder = make_folder(Path(out)) if saved else Path(out)
    views = open_views(args, segmenter, live=False)
    writer = AnswerWriter(folder, segmenter.palette, saved, args.alpha)
    outcome = Outcome()
    segmented = FrameAnswers(
        lambda image: segmenter.segment(image, unknown=views.unknown), options, paced=True
    )
    try:
        _Ordered(args, console, segmented, writer, answers, views, outcome).segment_all(frames)
    finally:
        segmented.close()
    if outcome.worth_printing:
        answers.end({**outcome.to_json(), **segmented.to_json()})
    segmented.say(console)
    if outcome.ended_by is None:
        views.note_saved(console)
    finish(args, console, outcome.tally, outcome.failures, outcome.ended_by)
    return 0


def ordered_frames(args: argparse.Namespace, specs: Sequence[str]) -> Iterator[Frame]:
    """Return the frames that --every and --limit leave."""
    frames = islice(open_sources(specs), 0, None, args.every)
    return islice(frames, args.limit)


@dataclass
class Outcome:
    """The outcome of a run, without the results.

    Attributes:
        tally: Totals over the results.
        failures: Origins that could not be read, and why.
        ended_by: The exception that ended the loop early, or None.
    """

    tally: Tally = field(default_factory=Tally)
    failures: list[tuple[str, PictureError]] = field(default_factory=list)
    ended_by: BaseException | None = None

    @property
    def worth_printing(self) -> bool:
        """Whether there is more to say than one error."""
        interrupted = isinstance(self.ended_by, KeyboardInterrupt)
        return bool(self.tally.frames) or len(self.failures) > 1 or interrupted

    def to_json(self) -> dict[str, object]:
        """Return the end of the document."""
        failed = [{"source": origin, "error": str(err)} for origin, err in self.failures]
        return {"failed": failed, **how_it_ended(self.ended_by)}


@dataclass(frozen=True)
class _Ordered:
    args: argparse.Namespace
    console: Console
    segmented: FrameAnswers
    writer: AnswerWriter
    answers: Answers
    views: Views
    outcome: Outcome

    def segment_all(self, frames: Iterator[Frame]) -> None:
        """Write, print and show every result as it comes; what ends the loop is kept."""
        views = OrderedViews(self.views.sinks, self.views.heed, self.args.max_fps)
        try:
            try:
                self._loop(frames, views)
            finally:
                views.close()
        except BrokenPipeError:
            raise
        except (KeyboardInterrupt, Exception) as err:  # the results so far are printed first
            self.outcome.ended_by = err

    def _loop(self, frames: Iterator[Frame], views: OrderedViews) -> None:
        # On a terminal the rows themselves show the progress.
        quiet = not self.console.json and sys.stdout is not None and sys.stdout.isatty()
        end_s = time.monotonic() + (self.args.duration or float("inf"))
        with stoppable() as stop:
            for frame in frames if quiet else self.console.progress(frames, "frame"):
                if not views.ready(stop.check) or time.monotonic() >= end_s:
                    break
                self._answer(frame, views, stop.check)
                stop.check()

    def _answer(self, frame: Frame, views: OrderedViews, check: Callable[[], None]) -> None:
        start_s = time.monotonic()
        try:
            _ = frame.image
        except PictureError as err:
            self.outcome.failures.append((frame.origin, err))
            return
        result = self.segmented.of_frame(frame, check)
        answer = self.writer.write(frame, result)
        views.show(frame, result, answer, start_s)
        self.outcome.tally.add(answer)
        self.answers.add(answer)
