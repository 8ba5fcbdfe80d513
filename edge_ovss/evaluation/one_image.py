"""Segment one labeled image and compare it with its ground truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.unknown import OFF
from edge_ovss.datasets.alignment import Alignment
from edge_ovss.datasets.dataset import Dataset, Sample
from edge_ovss.datasets.label_files import RawLabels
from edge_ovss.evaluation.preprocessing import Prediction, predict
from edge_ovss.evaluation.resume_log import JournalEntry
from edge_ovss.metrics.confusion import IGNORED, count_confusion
from edge_ovss.metrics.risk_coverage import Tally, count_steps, step_of
from edge_ovss.runtime.segmenter import Segmenter


def measure(
    segmenter: Segmenter,
    sample: Sample,
    dataset: Dataset,
    alignment: Alignment,
    preprocessing: str,
) -> JournalEntry:
    """Segment one sample and compare it with its ground truth.

    Raises:
        InputError: The sample is unusable; the message has its name.
    """
    with sample.named():
        # Hash first: if the file changes meanwhile, its entry will not match and is not reused.
        sha256, frame, raw = sample.sha256(), sample.frame(), sample.raw_labels()
        truth = alignment.map_truth(dataset.rule.read(raw))
        found = predict(segmenter, frame, preprocessing=preprocessing)
        predicted = alignment.map_prediction(found.labels)
        matrix = count_confusion(truth, predicted, classes=alignment.classes)
    result = found.result
    return JournalEntry(
        name=sample.name,
        confusion=matrix,
        timings_ms=dict(result.timings),
        counts=tuple(int(count) for count in result.counts),
        overflow=result.overflow,
        sha256=sha256,
        numbers=pixels_by_number(raw),
        tally=_tally(segmenter, frame, found, truth, alignment),
    )


def _tally(
    segmenter: Segmenter,
    frame: NDArray[np.uint8],
    found: Prediction,
    truth: NDArray[np.int32],
    alignment: Alignment,
) -> Tally | None:
    """Count wrong and right pixels by the measure; None if there is none or nothing is unknown."""
    info = segmenter.unknown
    if not alignment.unknown or info is None or found.measure is None:
        return None
    # What a threshold hides, a graph does not say: a second run does.
    plain = segmenter.segment(frame, unknown=OFF).labels if found.plain is None else found.plain
    counted = truth != IGNORED
    right = alignment.map_prediction(plain)[counted] == truth[counted]
    return count_steps(right, step_of(found.measure[counted], info.range))


def pixels_by_number(raw: RawLabels) -> dict[int, int]:
    """Return the numbers of pixels by the number in the label file."""
    numbers, counts = np.unique(raw, return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
