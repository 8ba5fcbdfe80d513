"""Score a bundle on a labelled data set: mIoU and its relatives, from the bundle on this device."""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.errors import UsageError

if TYPE_CHECKING:
    from edge_ovss.datasets.coverage import Coverage
    from edge_ovss.datasets.dataset import Dataset
    from edge_ovss.evaluation.evaluate import Evaluation
    from edge_ovss.runtime.segmenter import Segmenter

SUMMARY = "score a bundle on a labelled data set (mIoU)"

_LOSERS = 5
_SHOWN = 20
# Of a label map of 16 bits.
_LARGEST = 65535
_DIGITS = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this verb."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder that edge-ovss export wrote")
    add_data_arguments(parser)
    parser.add_argument("--backend", default="auto", metavar="NAME", help="default auto")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default all)")
    parser.add_argument(
        "--protocol", default="d2-main", metavar="NAME", help="d2-main (default) or d2-0.6+mmseg"
    )
    parser.add_argument(
        "--preproc",
        choices=("fast", "published"),
        default="fast",
        help="published: shortest edge to 640 first, labels at the original size (needs scores)",
    )
    parser.add_argument("--gate", metavar="LIST", help='for example "miou>=30,p99_ms<=50"')
    parser.add_argument("--out", metavar="DIR", help="default BUNDLE/reports/eval-...")
    parser.add_argument("--fresh", action="store_true", help="do not go on where a run stopped")


def add_data_arguments(parser: argparse.ArgumentParser, *, positional: bool = True) -> None:
    """Add the options that say which data set."""
    parser.add_argument(
        "data" if positional else "--data",
        metavar="DATA",
        help="root folder of the data set, or synthetic://street?count=4&seed=0&size=360x480",
    )
    parser.add_argument("--layout", metavar="NAME", help="edge-ovss data layouts lists them")
    add_label_arguments(parser)
    parser.add_argument("--expect", type=int, metavar="N", help="how many pictures there must be")
    parser.add_argument("--limit", type=int, metavar="N", help="a random subset of N pictures")
    parser.add_argument("--seed", type=int, default=0, help="of the subset (default 0)")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="ignore the pixels of categories that the vocabulary has no word for",
    )


def add_label_arguments(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that say what the numbers in label maps mean."""
    parser.add_argument("--classes", metavar="FILE", help="category names, one per line")
    parser.add_argument(
        "--ignore",
        action="append",
        metavar="N[,N]",
        help="numbers that mean 'not labelled', instead of the layout's; may be given repeatedly",
    )
    parser.add_argument(
        "--labels-start",
        type=int,
        choices=(0, 1),
        help="number of the first category; 1: 0 means 'not labelled' (default the layout's)",
    )


def read_ignore(given: Sequence[str] | None) -> tuple[int, ...] | None:
    """Return the numbers of --ignore, each once; None where it is not given.

    Raises:
        UsageError: Something is no number that a label map can hold.
    """
    if given is None:
        return None
    parts = [part.strip() for text in given for part in text.split(",")]
    wrong = [part for part in parts if not part.isdecimal() or len(part) > _DIGITS]
    wrong = wrong or [part for part in parts if int(part) > _LARGEST]
    if wrong:
        message = (
            f"Option --ignore has '{wrong[0]}'; expected numbers of 0 to {_LARGEST}, such as 255 "
            "or 459,65535."
        )
        raise UsageError(message)
    return tuple(dict.fromkeys(map(int, parts)))


def open_data(args: argparse.Namespace, *, counted: bool = True) -> Dataset:
    """Open the data set that the options name, counted (if `counted`) and limited.

    Raises:
        UsageError: An option is wrong.
        InputError: The data set cannot be used.
    """
    from edge_ovss.datasets.opening import open_dataset

    ignore = read_ignore(args.ignore)
    if args.limit is not None and args.limit < 1:
        message = f"Option --limit is {args.limit}; expected at least 1."
        raise UsageError(message)
    found = open_dataset(
        args.data,
        layout=args.layout,
        ignore=ignore,
        classes=args.classes,
        labels_start=args.labels_start,
    )
    whole = found.require_count(args.expect) if counted else found
    return whole.take(args.limit, seed=args.seed)


def run(args: argparse.Namespace, console: Console) -> int:
    """Score, print, and hold the gates."""
    from edge_ovss.evaluation.evaluate import NUMBERS, EvaluationOptions, evaluate
    from edge_ovss.evaluation.gates import check_gates, parse_gates, require_known, require_passed
    from edge_ovss.runtime.segmenter import Segmenter

    gates = parse_gates(args.gate)
    require_known(gates, NUMBERS)
    fresh = args.fresh or any(gate.name.endswith("_ms") for gate in gates)
    options = EvaluationOptions(args.protocol, args.preproc, args.allow_missing, fresh)
    dataset = open_data(args)
    for remark in dataset.remarks:
        console.warn(remark)
    if dataset.subset:
        console.note(f"{dataset.title}: only differences to the same subset mean something")
    with Segmenter.open(args.bundle, backend=args.backend, threads=args.threads) as segmenter:
        out = _out(args, segmenter, dataset)
        evaluation = evaluate(segmenter, dataset, out, options, progress=console.progress)
    for warning in evaluation.warnings[len(dataset.remarks) :]:
        console.warn(warning)
    verdicts = check_gates(gates, evaluation.numbers())
    document = evaluation.to_json() | {
        "out": str(out),
        "gates": [verdict.to_json() for verdict in verdicts],
    }
    text = [_text(evaluation, dataset), *(verdict.text for verdict in verdicts), f"files  {out}"]
    console.result("\n".join(text), document)
    require_passed(verdicts)
    console.note(next_step("report", args.bundle))
    return 0


def _out(args: argparse.Namespace, segmenter: Segmenter, dataset: Dataset) -> Path:
    if args.out is not None:
        return Path(args.out)
    name = "street" if dataset.name.startswith("synthetic:") else dataset.name
    if dataset.vocabulary is None:
        # Any folder may come in this layout: each has results of its own.
        name = f"{name}-{_place_name(args.data)}"
    return segmenter.bundle.path / "reports" / f"eval-{name}-{segmenter.backend}-{args.preproc}"


def _place_name(data: str) -> str:
    """Return a name for a folder's results: its own, and a hash, since others may be named so."""
    place = Path(data).expanduser().resolve()
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", place.name)[:40]
    return f"{name}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def _text(evaluation: Evaluation, dataset: Dataset) -> str:
    """Return the numbers for people, with the categories that do worst."""
    scores = evaluation.scores.to_json(evaluation.options.protocol)
    facts, total = evaluation.facts, evaluation.latency()["total"]
    coverage = evaluation.coverage
    over = ""
    if coverage.left_out:
        kept = coverage.categories - len(coverage.left_out)
        over = f" OVER {kept} OF {coverage.categories} CATEGORIES"
    lines = [
        f"{facts['model']} {facts['precision']} on {facts['backend']}, {dataset.title}, "
        f"{len(evaluation.entries)} pictures, preprocessing {facts['preprocessing']}",
        *_earlier(evaluation),
        *_other_answer(str(facts["answer"])),
        f"mIoU            {scores['miou']:.2f}{over} "
        f"({facts['protocol']}: {facts['protocol_says']})",
        f"  d2-main       {scores['miou_d2_main']:.2f}{over}",
        f"  d2-0.6+mmseg  {scores['miou_d2_06_mmseg']:.2f}{over}",
        *_left_out(coverage),
        f"pixel accuracy  {scores['pixel_accuracy']:.2f}",
        f"mean accuracy   {scores['mean_accuracy']:.2f}",
        f"fw IoU          {scores['fw_iou']:.2f}",
        *_labels(coverage),
        f"latency         p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms",
        "worst           " + _worst(evaluation),
    ]
    return "\n".join(lines)


def _earlier(evaluation: Evaluation) -> list[str]:
    """Return lines on what an earlier run in this folder gave."""
    count, reused = len(evaluation.entries), evaluation.reused
    lines = []
    if reused:
        lines.append(
            f"earlier run     {reused} of {count} pictures are of an earlier run, with its times; "
            "--fresh measures all"
        )
    if evaluation.restarted:
        lines.append(f"earlier run     {evaluation.restarted}")
    return lines


def _left_out(coverage: Coverage) -> list[str]:
    from edge_ovss.datasets.coverage import some

    if not coverage.left_out:
        return []
    lost = sum(coverage.left_out.values())
    share = 100 * lost / (lost + coverage.scored)
    names = some(list(coverage.left_out), _SHOWN)
    return [f"  left out      {names} ({share:.1f} % of the labelled pixels)"]


def _labels(coverage: Coverage) -> list[str]:
    """Return lines on the pixels that are not labelled and the categories that never occur."""
    from edge_ovss.datasets.coverage import some

    ignored = ", ".join(
        f"{coverage.share(count):.1f} % ignored as {number}"
        for number, count in coverage.ignored.items()
    )
    share = coverage.share(coverage.scored)
    lines = [f"pixels          {share:.1f} % scored, {ignored or 'none ignored'}"]
    if coverage.absent:
        lines.append(f"never occur     {some(coverage.absent, _SHOWN)}")
    return lines


def _other_answer(answer: str) -> list[str]:
    """Return a line for a bundle whose labels are made in another way than the published one."""
    from edge_ovss.bundle.manifest import PUBLISHED_ANSWER

    if answer == PUBLISHED_ANSWER:
        return []
    return [f"answer          {answer}: NOT the published one; these are not the model's numbers"]


def _worst(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    present = [i for i in range(len(scores.names)) if scores.truth_pixels[i]]
    worst = sorted(present, key=lambda index: float(scores.iou[index]))[:_LOSERS]
    return ", ".join(f"{scores.names[i].strip()} {100 * scores.iou[i]:.1f}" for i in worst)
