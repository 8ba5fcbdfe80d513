"""Score a bundle on a data set."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_ovss.errors import InputError
from edge_ovss.evaluation.alignment import Alignment, align
from edge_ovss.evaluation.confusion import Confusion, count_confusion
from edge_ovss.evaluation.dataset import Dataset, Sample
from edge_ovss.evaluation.journal import Entry, Journal
from edge_ovss.evaluation.metrics import (
    DEFAULT_PROTOCOL,
    PROTOCOLS,
    Scores,
    require_protocol,
    score_confusion,
)
from edge_ovss.evaluation.percentiles import summarise
from edge_ovss.evaluation.predicting import predict, require_preprocessing
from edge_ovss.evaluation.provenance import graph_hash
from edge_ovss.runtime.environment import machine_facts, package_versions
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.writing import make_folder, write_bytes, write_json

Progress = Callable[[Iterable[Sample], str], Iterable[Sample]]

EVALUATION_FILE = "eval.json"
CONFUSION_FILE = "confusion.npz"
JOURNAL_FILE = "pictures.jsonl"
NUMBERS = (
    "miou",
    "miou_d2_main",
    "miou_d2_06_mmseg",
    "pixel_accuracy",
    "mean_accuracy",
    "fw_iou",
    "pictures",
    "overflow_share",
    "p50_ms",
    "p90_ms",
    "p99_ms",
    "max_ms",
)
"""Numbers of an evaluation that a gate may name."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How to score.

    Attributes:
        protocol: Which mean is called mIoU; both are reported.
        preprocessing: "fast" or "published".
        allow_missing: Ignore pixels of categories that the vocabulary has no word for.
        fresh: Begin anew instead of going on where an earlier run stopped.
    """

    protocol: str = DEFAULT_PROTOCOL
    preprocessing: str = "fast"
    allow_missing: bool = False
    fresh: bool = False

    def __post_init__(self) -> None:
        require_protocol(self.protocol)


@dataclass(frozen=True)
class Evaluation:
    """What a bundle reaches on a data set.

    Attributes:
        scores: mIoU and its relatives.
        confusion: int64 [K, K], rows are true.
        entries: One by picture, in the order of the data set.
        options: How it was scored.
        facts: What was scored, on what.
    """

    scores: Scores
    confusion: Confusion
    entries: tuple[Entry, ...]
    options: EvaluationOptions
    facts: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the confusion matrix as a JSON object."""
        return {
            "kind": "eval",
            **self.facts,
            "pictures": len(self.entries),
            "scores": self.scores.to_json(self.options.protocol),
            "latency_ms": self.latency(),
            "rejection": self.rejection(),
        }

    def numbers(self) -> dict[str, float | None]:
        """Return the `NUMBERS`, for gates."""
        scores = self.scores.to_json(self.options.protocol)
        total = self.latency()["total"]
        numbers: dict[str, Any] = {key: scores[key] for key in NUMBERS if key in scores}
        numbers["pictures"] = float(len(self.entries))
        numbers["overflow_share"] = float(np.mean([entry.overflow for entry in self.entries]))
        return numbers | {f"{key}_ms": total[key] for key in ("p50", "p90", "p99", "max")}

    def latency(self) -> dict[str, dict[str, float]]:
        """Return p50, p90, p99, max and mean by stage, in milliseconds."""
        stages = self.entries[0].timings_ms
        return {s: summarise([entry.timings_ms[s] for entry in self.entries]) for s in stages}

    def rejection(self) -> dict[str, object]:
        """Return how many categories wanted to stay, and how often there was too little room."""
        counts = np.asarray([entry.counts for entry in self.entries])
        return {
            "counts_p50": np.median(counts, axis=0).tolist(),
            "counts_max": counts.max(axis=0).tolist(),
            "overflow_pictures": sum(entry.overflow for entry in self.entries),
        }


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    out: str | Path,
    options: EvaluationOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Evaluation:
    """Score a bundle on every sample, and write `eval.json`, `confusion.npz` and the journal.

    A run that was interrupted goes on where it stopped when it is started again.

    Args:
        segmenter: A bundle on a backend.
        dataset: What to score on.
        out: Folder for the files; made if it is not there.
        options: How to score.
        progress: Wraps the samples, with a label, to show how far it got.

    Raises:
        InputError: A picture or label map cannot be read or used, or categories do not match.
        UsageError: The bundle has no scores, which the published preprocessing needs.
        OutputError: A file cannot be written.
    """
    options = options or EvaluationOptions()
    require_preprocessing(segmenter, options.preprocessing)
    alignment = align(dataset, segmenter.bundle.vocabulary, allow_missing=options.allow_missing)
    folder = make_folder(Path(out))
    facts = _facts(segmenter, dataset, options, alignment)
    journal = Journal(
        folder / JOURNAL_FILE,
        key=_key(segmenter, dataset, options, alignment),
        classes=len(alignment.names),
        fresh=options.fresh,
    )
    with journal:
        todo = [sample for sample in dataset.samples if sample.name not in journal.entries]
        for sample in progress(todo, "picture") if progress else todo:
            journal.add(measure(segmenter, sample, dataset, alignment, options.preprocessing))
    entries = tuple(journal.entries[sample.name] for sample in dataset.samples)
    return _finish(folder, entries, alignment.names, options, facts)


def measure(
    segmenter: Segmenter,
    sample: Sample,
    dataset: Dataset,
    alignment: Alignment,
    preprocessing: str,
) -> Entry:
    """Segment one sample and compare it with its truth.

    Raises:
        InputError: With the name of the sample.
    """
    try:
        frame = sample.frame()
        truth = alignment.map_truth(dataset.rule.read(sample.raw_labels()))
        result, labels = predict(segmenter, frame, preprocessing=preprocessing)
        predicted = alignment.map_prediction(labels)
        matrix = count_confusion(truth, predicted, classes=len(alignment.names))
    except InputError as err:
        message = f"Sample '{sample.name}': {err.message}"
        raise type(err)(message, hint=err.hint) from err
    counts = tuple(int(count) for count in result.counts)
    return Entry(sample.name, matrix, dict(result.timings), counts, result.overflow)


def _finish(
    folder: Path,
    entries: Sequence[Entry],
    names: Sequence[str],
    options: EvaluationOptions,
    facts: Mapping[str, object],
) -> Evaluation:
    matrix: Confusion = np.stack([entry.confusion for entry in entries]).sum(0)
    scores = score_confusion(matrix, names)
    evaluation = Evaluation(scores, matrix, tuple(entries), options, facts)
    packed = io.BytesIO()
    np.savez_compressed(packed, confusion=matrix, names=np.asarray(names))
    write_bytes(folder / CONFUSION_FILE, packed.getvalue())
    write_json(folder / EVALUATION_FILE, evaluation.to_json())
    return evaluation


def _key(
    segmenter: Segmenter, dataset: Dataset, options: EvaluationOptions, alignment: Alignment
) -> dict[str, object]:
    """Everything that decides the confusion of a picture; pictures may be added, not changed."""
    return {
        "graph": graph_hash(segmenter.bundle),
        "backend": segmenter.backend,
        "dataset": dataset.name,
        "ignore": list(dataset.rule.ignore),
        "zero": dataset.rule.zero,
        "preprocessing": options.preprocessing,
        "categories": list(alignment.names),
        "left_out": list(alignment.left_out),
    }


def _facts(
    segmenter: Segmenter, dataset: Dataset, options: EvaluationOptions, alignment: Alignment
) -> dict[str, object]:
    manifest = segmenter.bundle.manifest
    return {
        "bundle": segmenter.bundle.path.name,
        "graph_sha256": graph_hash(segmenter.bundle),
        "model": manifest.model.name,
        "precision": manifest.precision,
        "rejection_mode": manifest.rejection.mode,
        "answer": manifest.output.answer,
        "backend": segmenter.backend,
        "dataset": dataset.name,
        "subset": dataset.subset,
        "protocol": options.protocol,
        "protocol_says": PROTOCOLS[options.protocol],
        "preprocessing": options.preprocessing,
        "categories_left_out": list(alignment.left_out),
        "environment": {"machine": machine_facts(), "packages": package_versions()},
    }
