"""Segment a picture, a folder, a video, a camera or synthetic streets with a bundle."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.run_output import Document, Table, Tally
from edge_ovss.cli.shared.stopping import stoppable
from edge_ovss.errors import GateError, InputError, PictureError, UsageError

if TYPE_CHECKING:
    from edge_ovss.frames.sources import Frame
    from edge_ovss.runtime.result_writer import AnswerWriter
    from edge_ovss.runtime.segmenter import Segmenter

SUMMARY = "segment pictures with a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="picture, folder, list (.txt), video, /dev/video0, rtsp://..., or "
        "synthetic://street?count=4&seed=0&size=360x480",
    )
    parser.add_argument("--out", default="out", metavar="DIR", help="folder to write (default out)")
    parser.add_argument("--backend", default="auto", metavar="NAME", help="default auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all)")
    parser.add_argument("--alpha", type=float, default=0.55, help="weight of colours, 0 to 1")
    parser.add_argument("--no-overlay", action="store_true", help="write no overlays")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N frames")
    parser.add_argument(
        "--on-overflow",
        choices=("warn", "error", "rerun"),
        default="warn",
        help="when slots were too few: warn (default), end with status 6, or rerun the frame with "
        "the spare graph (export --spare-slots) and warn only where that overflows too",
    )
    parser.add_argument("--save-scores", action="store_true", help="write NAME.scores.npz too")


def run(args: argparse.Namespace, console: Console) -> int:
    """Segment every frame; a picture that cannot be read is reported, and the others go on."""
    from edge_ovss.frames.sources import open_source
    from edge_ovss.runtime.segmenter import KEEP, RERUN, Segmenter

    _check(args)
    frames = islice(open_source(args.source), args.limit)
    policy = RERUN if args.on_overflow == RERUN else KEEP
    with Segmenter.open(
        args.bundle, backend=args.backend, threads=args.threads, on_overflow=policy
    ) as segmenter:
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
    """What a run came to, without the answers.

    Attributes:
        tally: Of the answers.
        failures: What could not be read, and why.
        ended_by: What ended the loop before the frames did, if anything.
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
    if args.limit is not None and args.limit < 1:
        message = f"Option --limit is {args.limit}; expected at least 1."
        raise UsageError(message)
    if not 0.0 <= args.alpha <= 1.0:
        message = f"Option --alpha is {args.alpha}; expected a number from 0 to 1."
        raise UsageError(message)
    source, out = Path(args.source), Path(args.out)
    if source.is_dir() and out.exists() and source.resolve() == out.resolve():
        message = f"Option --out is the source folder '{out}'; answers would become pictures of it."
        raise UsageError(message, hint="Choose another folder for --out.")


def _check_scores(args: argparse.Namespace, segmenter: Segmenter) -> None:
    if args.save_scores and "scores" not in segmenter.bundle.manifest.output.outputs:
        message = "Option --save-scores is given, but the bundle answers without scores."
        raise UsageError(message, hint="Export it again with --outputs labels,scores.")


def _segment_all(
    args: argparse.Namespace,
    console: Console,
    segmenter: Segmenter,
    frames: Iterator[Frame],
    answers: Document | Table,
) -> _Outcome:
    """Write and print every answer as it comes; what ends the loop is kept for later."""
    from edge_ovss._files import make_folder
    from edge_ovss.runtime.result_writer import AnswerWriter

    writer = AnswerWriter(
        make_folder(Path(args.out)),
        segmenter.palette,
        overlay=not args.no_overlay,
        alpha=args.alpha,
        save_scores=args.save_scores,
    )
    outcome = _Outcome()
    # On a terminal the rows show how far it is.
    quiet = not console.json and sys.stdout is not None and sys.stdout.isatty()
    try:
        with stoppable() as stop:
            for frame in frames if quiet else console.progress(frames, "frame"):
                stop.check()
                _answer(frame, segmenter, writer, answers, outcome)
                stop.check()
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, Exception) as err:  # what there is is printed first
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
    """Warn of overflow, report failures, and say what to do next."""
    tally, failures = outcome.tally, outcome.failures
    if tally.reran:
        console.note(f"{tally.reran} of {tally.frames} frames overflowed and were run again")
    if tally.over and (args.on_overflow != "error" or outcome.ended_by):
        console.warn(tally.overflow())
    if failures and not tally.frames and len(failures) == 1 and not outcome.ended_by:
        raise failures[0][1]
    for _, err in failures:
        console.warn(str(err))
    if outcome.ended_by:
        raise outcome.ended_by
    if failures:
        total = len(failures) + tally.frames
        message = f"{len(failures)} of {total} pictures could not be used; see the warnings above."
        raise InputError(message, hint="Mend or remove them, and run again.")
    if tally.over and args.on_overflow == "error":
        raise GateError(tally.overflow())
    backend = [] if args.backend == "auto" else ["--backend", args.backend]
    console.note(next_step("selftest", args.bundle, *backend))
