"""Run `edge-ovss eval`."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge_ovss._files import write_json
from edge_ovss.bundle.sections import PUBLISHED_ANSWER
from edge_ovss.cli.proof.tune_unknown import run_tuning
from edge_ovss.cli.proof.video import (
    score_video,
    video_options,
    video_text,
    warn_of_images,
)
from edge_ovss.cli.shared.console import Console, next_step
from edge_ovss.cli.shared.data_options import file_part_of, open_data
from edge_ovss.cli.shared.runtime_options import open_segmenter
from edge_ovss.datasets.coverage import Coverage, some
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.evaluation.evaluate import (
    EVALUATION_FILE,
    Evaluation,
    EvaluationOptions,
    evaluate,
)
from edge_ovss.evaluation.gates import (
    check_gates,
    license_value,
    parse_gates,
    require_known,
    require_passed,
)
from edge_ovss.metrics.reported import EVALUATION, VIDEO
from edge_ovss.runtime.segmenter import Segmenter

_LOSERS = 5
_SHOWN = 20


def run(args: argparse.Namespace, console: Console) -> int:
    """Score, print, and check the gates; or find thresholds."""
    if args.tune_unknown:
        return run_tuning(args, console)
    gates = parse_gates(args.gate)
    require_known(gates, (*EVALUATION, *VIDEO))
    fresh = args.fresh or any(gate.name.endswith("_ms") for gate in gates)
    options = EvaluationOptions(
        args.protocol, args.preproc, args.allow_missing, fresh, args.missing_unknown
    )
    dataset = open_data(args)
    video = video_options(args, dataset)
    require_known(gates, EVALUATION if video is None else (*EVALUATION, *VIDEO))
    for remark in dataset.remarks:
        console.warn(remark)
    if dataset.subset:
        console.note(f"{dataset.title}: compare only with results on the same subset")
    stream = None
    with open_segmenter(args) as segmenter:
        out = _out(args, segmenter, dataset)
        if video is None:
            evaluation = evaluate(segmenter, dataset, out, options, progress=console.progress)
        else:
            stream = score_video(args, segmenter, dataset, out, options, video, console)
            evaluation = stream.evaluation
            warn_of_images(stream, console)
    for warning in evaluation.warnings[len(dataset.remarks) :]:
        console.warn(warning)
    found = stream or evaluation
    verdicts = check_gates(gates, {**found.numbers(), **license_value(segmenter.bundle)})
    document = found.to_json() | {"gates": [verdict.to_json() for verdict in verdicts]}
    write_json(out / EVALUATION_FILE, document)  # again: what was measured stands there already
    moving = [] if stream is None else [video_text(stream)]
    text = [
        _text(evaluation, dataset),
        *moving,
        *(verdict.text for verdict in verdicts),
        f"files  {out}",
    ]
    console.result("\n".join(text), document | {"out": str(out)})
    require_passed(verdicts)
    console.note(next_step("report", args.bundle))
    return 0


def _out(args: argparse.Namespace, segmenter: Segmenter, dataset: Dataset) -> Path:
    if args.out is not None:
        return Path(args.out)
    name = file_part_of(dataset, args.data)
    return segmenter.bundle.path / "reports" / f"eval-{name}-{segmenter.backend}-{args.preproc}"


def _text(evaluation: Evaluation, dataset: Dataset) -> str:
    """Return the numbers as text, with the worst categories."""
    scores = evaluation.scores.to_json(evaluation.options.protocol)
    facts, total = evaluation.facts, evaluation.latency()["total"]
    coverage = evaluation.coverage
    over = ""
    if coverage.left_out:
        kept = coverage.categories - len(coverage.left_out)
        over = f" OVER {kept} OF {coverage.categories} CATEGORIES"
    lines = [
        f"{facts['model']} {facts['precision']} on {facts['backend']}, {dataset.title}, "
        f"{len(evaluation.entries)} images, preprocessing {facts['preprocessing']}",
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
        *_unknown(evaluation),
        *_labels(coverage),
        f"latency         p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms",
        "worst           " + _worst(evaluation),
    ]
    return "\n".join(lines)


def _earlier(evaluation: Evaluation) -> list[str]:
    """Return lines on the results of an earlier run in this folder."""
    count, reused = len(evaluation.entries), evaluation.reused
    lines = []
    if reused:
        lines.append(
            f"earlier run     {reused} of {count} images are from an earlier run, with its "
            "times; --fresh measures all"
        )
    if evaluation.restarted:
        lines.append(f"earlier run     {evaluation.restarted}")
    return lines


def _left_out(coverage: Coverage) -> list[str]:
    if not coverage.left_out:
        return []
    lost = sum(coverage.left_out.values())
    share = 100 * lost / (lost + coverage.scored)
    names = some(list(coverage.left_out), _SHOWN)
    return [f"  left out      {names} ({share:.1f} % of the labeled pixels)"]


def _unknown(evaluation: Evaluation) -> list[str]:
    """Return lines on "unknown", if a pixel may be."""
    found, unnamed = evaluation.unknown, evaluation.coverage.unnamed
    if found is None:
        return []
    shown = {k: "-" if v is None else f"{v:.2f}" for k, v in found.numbers().items()}
    lines = []
    if unnamed:
        names = some(list(unnamed), _SHOWN)
        share = evaluation.coverage.share(sum(unnamed.values()))
        lines.append(f"no word for     {names} ({share:.1f} % of the pixels): unknown is right")
    lines += [
        f"coverage        {shown['coverage']} % labeled with a word, "
        f"of which {shown['risk']} % are wrong",
        f"known mIoU      {shown['known_miou']} where the truth is a word",
    ]
    if found.truth_pixels:
        lines.append(
            f"unknown         precision {shown['unknown_precision']}, recall "
            f"{shown['unknown_recall']}, IoU {shown['unknown_iou']}"
        )
    if evaluation.curve is not None:
        lines.append(f"risk-coverage   area {100 * evaluation.curve.area:.2f} (0 is perfect)")
    return lines


def _labels(coverage: Coverage) -> list[str]:
    """Return lines on unlabeled pixels and on categories that never occur."""
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
    """Return a line for a bundle whose labels are not made in the published way."""
    if answer == PUBLISHED_ANSWER:
        return []
    return [f"answer          {answer}: NOT the published one; these are not the model's numbers"]


def _worst(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    present = [i for i in range(len(scores.names)) if scores.truth_pixels[i]]
    worst = sorted(present, key=lambda index: float(scores.iou[index]))[:_LOSERS]
    return ", ".join(f"{scores.names[i].strip()} {100 * scores.iou[i]:.1f}" for i in worst)
