"""Segment a picture, a folder, a video, a camera or synthetic streets with a bundle."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ovss.cli._console import Console
from edge_ovss.errors import GateError, InputError, PictureError, UsageError

if TYPE_CHECKING:
    from edge_ovss.runtime.segmenter import Segmenter
    from edge_ovss.runtime.sources import Frame

SUMMARY = "segment pictures with a bundle"

_TOP = 3


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
    from edge_ovss.runtime.segmenter import KEEP, RERUN, Segmenter
    from edge_ovss.runtime.sources import open_source

    _check(args)
    frames = islice(open_source(args.source), args.limit)
    policy = RERUN if args.on_overflow == RERUN else KEEP
    with Segmenter.open(
        args.bundle, backend=args.backend, threads=args.threads, on_overflow=policy
    ) as segmenter:
        _check_scores(args, segmenter)
        answers, failures = _segment_all(args, console, segmenter, frames)
        document = {
            "bundle": str(args.bundle),
            "backend": segmenter.backend,
            "out": str(args.out),
            "frames": answers,
            "failed": [{"source": origin, "error": str(err)} for origin, err in failures],
        }
    if answers or len(failures) > 1:
        console.result(_table(answers, args.out), document)
    _finish(args, console, answers, failures)
    return 0


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
    args: argparse.Namespace, console: Console, segmenter: Segmenter, frames: Iterator[Frame]
) -> tuple[list[dict[str, Any]], list[tuple[str, PictureError]]]:
    """Return the facts of every answer, and what could not be read."""
    from edge_ovss.runtime.answers import AnswerWriter
    from edge_ovss.runtime.writing import make_folder

    writer = AnswerWriter(
        make_folder(Path(args.out)),
        segmenter.palette,
        overlay=not args.no_overlay,
        alpha=args.alpha,
        save_scores=args.save_scores,
    )
    answers: list[dict[str, Any]] = []
    failures: list[tuple[str, PictureError]] = []
    for frame in console.progress(frames, "frame"):
        try:
            image = frame.image
        except PictureError as err:
            failures.append((frame.origin, err))
            continue
        answers.append(writer.write(frame, segmenter.segment(image)))
    return answers, failures


def _finish(
    args: argparse.Namespace,
    console: Console,
    answers: list[dict[str, Any]],
    failures: list[tuple[str, PictureError]],
) -> None:
    """Warn of overflow, report failures, and say what to do next."""
    over = [answer for answer in answers if answer["overflow"]]
    reran = sum(answer["reran"] for answer in answers)
    if reran:
        console.note(f"{reran} of {len(answers)} frames overflowed and were run again")
    if over and args.on_overflow != "error":
        console.warn(_overflow_message(over, len(answers)))
    if failures and not answers and len(failures) == 1:
        raise failures[0][1]
    for _, err in failures:
        console.warn(str(err))
    if failures:
        total = len(failures) + len(answers)
        message = f"{len(failures)} of {total} pictures could not be used; see the warnings above."
        raise InputError(message, hint="Mend or remove them, and run again.")
    if over and args.on_overflow == "error":
        raise GateError(_overflow_message(over, len(answers)))
    backend = "" if args.backend == "auto" else f" --backend {args.backend}"
    console.note(f"Next: edge-ovss selftest {args.bundle}{backend}")


def _overflow_message(over: list[dict[str, Any]], frames: int) -> str:
    most = [max(column) for column in zip(*(item["counts"] for item in over), strict=True)]
    slots = over[0]["slots"]
    return (
        f"in {len(over)} of {frames} frames more categories wanted to stay than there "
        f"are slots (counts up to {_numbers(most)}, slots {_numbers(slots)}); the weakest "
        f"were dropped. Export again with --slots {_numbers(_enough(most, slots))}, which "
        "surely suffices for these frames, or with --slots auto --calibration DIR"
    )


def _enough(counts: list[int], slots: list[int]) -> list[int]:
    """Return slots that suffice for `counts` surely.

    Counts after an overflow are of what the slots let through, so the true ones may be larger;
    they cannot be larger than the count that overflowed.
    """
    enough: list[int] = []
    bound = 0
    for count, slot in zip(counts, slots, strict=False):
        bound = max(bound, count if count > slot else 0)
        enough.append(max(slot, bound))
    return enough


def _numbers(values: list[int]) -> str:
    return ",".join(str(value) for value in values)


def _table(answers: list[dict[str, Any]], out: str) -> str:
    """Return one line per frame, for people."""
    rows = [("frame", "size", "infer ms", "alive", "most of it")]
    for answer in answers:
        shares = list(answer["shares"].items())[:_TOP]
        most = ", ".join(f"{name.strip()} {100 * share:.0f} %" for name, share in shares)
        size = f"{answer['height']}x{answer['width']}"
        infer = f"{answer['timings_ms']['infer']:.1f}"
        rows.append((answer["name"], size, infer, str(len(answer["alive"])), most))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.append(f"{len(answers)} frames written to {out}")
    return "\n".join(lines)
