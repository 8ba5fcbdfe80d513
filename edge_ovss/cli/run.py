"""Run `edge-ovss run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from edge_ovss._files import make_folder
from edge_ovss.cli.options.run import ERROR
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import check_limit
from edge_ovss.cli.shared.run_output import Document, Table, Tally
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.cli.shared.signals import stoppable
from edge_ovss.errors import GateError, InputError, PictureError, UsageError
from edge_ovss.frames import sources
from edge_ovss.frames.sources import Frame
from edge_ovss.runtime.overflow import KEEP, RERUN
from edge_ovss.runtime.result_writer import AnswerWriter
from edge_ovss.runtime.segmenter import Segmenter


def run(args: argparse.Namespace, console: Console) -> int:
    """Segment every frame; an image that cannot be read is reported, and the others go on."""
    _check(args)
    frames = islice(sources.open_source(args.source), args.limit)
    policy = RERUN if args.on_overflow == RERUN else KEEP
    with open_segmenter(args, on_overflow=policy) as segmenter:
        _check_scores(args, segmenter)
        facts = {"bundle": str(args.bundle), "backend": segmenter.backend, "out": str(args.out)}
        answers = Document(facts) if console.json else Table(facts)
        outcome = _segment_all(args, console, segmenter, frames, answers)
    if outcome.worth_printing:
        answers.end(outcome.to_json())
    _finish(args, console, outcome)
    return 0


@dataclass
class _Outcome:
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
    def interrupted(self) -> bool:
        return isinstance(self.ended_by, KeyboardInterrupt)

    @property
    def worth_printing(self) -> bool:
        return bool(self.tally.frames) or len(self.failures) > 1 or self.interrupted

    def to_json(self) -> dict[str, object]:
        failed = [{"source": origin, "error": str(err)} for origin, err in self.failures]
        error = None if self.interrupted or self.ended_by is None else str(self.ended_by)
        return {"failed": failed, "error": error, "interrupted": self.interrupted}


def _check(args: argparse.Namespace) -> None:
    check_limit(args.limit)
    if not 0.0 <= args.alpha <= 1.0:
        message = f"--alpha is {args.alpha}; expected a number from 0 to 1."
        raise UsageError(message)
    source, out = Path(args.source), Path(args.out)
    if source.is_dir() and out.exists() and source.resolve() == out.resolve():
        message = f"--out is the source folder '{out}'; results would become images of it."
        raise UsageError(message, hint="Choose a different folder for --out.")


def _check_scores(args: argparse.Namespace, segmenter: Segmenter) -> None:
    if args.save_scores and "scores" not in segmenter.bundle.manifest.output.outputs:
        message = "--save-scores is given, but the bundle has no scores output."
        raise UsageError(message, hint="Export it again with --outputs labels,scores.")


def _segment_all(
    args: argparse.Namespace,
    console: Console,
    segmenter: Segmenter,
    frames: Iterator[Frame],
    answers: Document | Table,
) -> _Outcome:
    """Write and print every result as it comes; an exception that ends the loop is kept."""
    writer = AnswerWriter(
        make_folder(Path(args.out)),
        segmenter.palette,
        overlay=not args.no_overlay,
        alpha=args.alpha,
        save_scores=args.save_scores,
    )
    outcome = _Outcome()
    # On a terminal the rows themselves show the progress.
    quiet = not console.json and sys.stdout is not None and sys.stdout.isatty()
    try:
        with stoppable() as stop:
            for frame in frames if quiet else console.progress(frames, "frame"):
                stop.check()
                _answer(frame, segmenter, writer, answers, outcome)
                stop.check()
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, Exception) as err:  # the results so far are printed first
        outcome.ended_by = err
    return outcome


def _answer(
    frame: Frame,
    segmenter: Segmenter,
    writer: AnswerWriter,
    answers: Document | Table,
    outcome: _Outcome,
) -> None:
    try:
        image = frame.image
    except PictureError as err:
        outcome.failures.append((frame.origin, err))
        return
    answer = writer.write(frame, segmenter.segment(image))
    outcome.tally.add(answer)
    answers.add(answer)


def _finish(args: argparse.Namespace, console: Console, outcome: _Outcome) -> None:
    """Warn of overflow, report failures, and print the next step."""
    tally, failures = outcome.tally, outcome.failures
    if tally.reran:
        console.note(f"{tally.reran} of {tally.frames} frames overflowed and were run again")
    if tally.over and (args.on_overflow != ERROR or outcome.ended_by):
        console.warn(tally.overflow())
    if failures and not tally.frames and len(failures) == 1 and not outcome.ended_by:
        raise failures[0][1]
    for _, err in failures:
        console.warn(str(err))
    if outcome.ended_by:
        raise outcome.ended_by
    if failures:
        total = len(failures) + tally.frames
        message = f"{len(failures)} of {total} images could not be used; see the warnings above."
        raise InputError(message, hint="Fix or remove them, and run again.")
    if tally.over and args.on_overflow == ERROR:
        raise GateError(tally.overflow())
    backend = [] if args.backend == "auto" else ["--backend", args.backend]
    console.note(next_step("selftest", args.bundle, *backend))
