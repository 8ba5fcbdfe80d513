"""Score a candidate on the labeled images, and compare two on the same ones."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_ovss._files import write_bytes
from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.evaluation.checked_lines import checked_line
from edge_ovss.evaluation.evaluate import (
    JOURNAL_FILE,
    Evaluation,
    EvaluationOptions,
    evaluate,
)
from edge_ovss.evaluation.resume_log import read_entries
from edge_ovss.evaluation.video.evaluate import evaluate_video
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.metrics.bootstrap import Change, miou_change
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.tune.candidate import KEYFRAME, STABILIZE
from edge_ovss.tune.subject import Subject


def first_images(dataset: Dataset, count: int, *, seed: int = 0) -> Dataset:
    """Return so many samples, so that fewer are always among more.

    Of videos the first frames, which follow each other; else a choice by the seed.
    """
    if dataset.fps is not None:
        samples = [sample for clip in clips_of(dataset) for sample in clip.samples][:count]
    else:
        places = list(range(len(dataset.samples)))
        random.Random(seed).shuffle(places)
        samples = [dataset.samples[place] for place in sorted(places[:count])]
    return replace(dataset, samples=tuple(samples))


def score(segmenter: Segmenter, subject: Subject, order: Mapping[str, Any]) -> dict[str, object]:
    """Score a candidate on the first images; those scored before are not read again.

    Args:
        segmenter: The candidate.
        subject: With labeled data.
        order: `images`, how many; `folder` for the results; `settings` of the candidate.
    """
    assert subject.data is not None
    data = first_images(subject.data.open(), order["images"], seed=subject.data.seed)
    options = EvaluationOptions(allow_missing=subject.data.allow_missing)
    folder, chosen = Path(order["folder"]), order["settings"]
    if {KEYFRAME, STABILIZE} & set(chosen):
        found = _score_stream(segmenter, data, folder, options, chosen)
    else:
        found = evaluate(segmenter, data, folder, options)
    numbers = found.numbers()
    counts = [
        max(entry.counts[i] for entry in found.entries) for i in range(len(found.entries[0].counts))
    ]
    return {
        "images": len(found.entries),
        "miou": numbers["miou"],
        "overflow_share": numbers["overflow_share"],
        "counts": counts,
        "classes": len(found.scores.names),
        "rows": int(found.confusion.shape[0]),
        "warnings": list(found.warnings),
    }


def _score_stream(
    segmenter: Segmenter,
    data: Dataset,
    folder: Path,
    options: EvaluationOptions,
    chosen: Mapping[str, str],
) -> Evaluation:
    hold = chosen.get(STABILIZE)
    video = VideoOptions(None if hold is None else float(hold), int(chosen.get(KEYFRAME, "1")))
    found = evaluate_video(segmenter, data, folder, options, video).evaluation
    lines: list[dict[str, object]] = [{"key": {}}, *(entry.to_json() for entry in found.entries)]
    write_bytes(folder / JOURNAL_FILE, b"".join(map(checked_line, lines)))
    return found


def compare(before: Path, after: Path, *, rows: int, classes: int) -> Change:
    """Compare two candidates on the images that both were scored on.

    Args:
        before: Folder of the results of the default export.
        after: Folder of the results of the candidate.
        rows: Rows of their confusion matrices.
        classes: K, without "unknown".

    Raises:
        InputError: There are none.
    """
    first = read_entries(before / JOURNAL_FILE, classes=rows)
    second = read_entries(after / JOURNAL_FILE, classes=rows)
    both = [name for name in second if name in first]
    return miou_change(
        [first[name].confusion for name in both],
        [second[name].confusion for name in both],
        classes=classes,
    )
