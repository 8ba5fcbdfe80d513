"""Score a bundle on a data set."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_ovss._files import make_folder, write_bytes, write_json
from edge_ovss._machine import machine_facts, package_versions
from edge_ovss._progress import Progress
from edge_ovss._version import VERSION
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.coverage import Coverage, number_hints, shift_hint, some
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.evaluation.latency import summarize
from edge_ovss.evaluation.one_image import measure
from edge_ovss.evaluation.preprocessing import require_preprocessing
from edge_ovss.evaluation.resume_log import Journal, JournalEntry
from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.miou import (
    Scores,
    require_protocol,
    score_confusion,
)
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL, EVALUATION, PROTOCOLS
from edge_ovss.metrics.risk_coverage import RiskCoverage
from edge_ovss.metrics.unknown import UnknownScores, score_unknown
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.trt.engine_store import engine_hashes, plan_hashes

EVALUATION_FILE = "eval.json"
CONFUSION_FILE = "confusion.npz"
JOURNAL_FILE = "pictures.jsonl"
_FORMAT = 3
# Facts of the machine and the installation that may change labels or times.
_MACHINE = ("system", "machine", "usable_cores", "gpus", "jetson")
_PACKAGES = ("numpy", "cv2", "onnxruntime", "tensorrt", "tensorrt_rtx_bindings", "openvino")


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation.

    Attributes:
        protocol: Which mean is called mIoU; both are reported.
        preprocessing: "fast" or "published".
        allow_missing: Ignore pixels of categories that are not in the vocabulary.
        missing_unknown: Expect "unknown" there instead.
        fresh: Start over instead of resuming an earlier run; set this if the times matter, which
            must not come from two runs.
    """

    protocol: str = DEFAULT_PROTOCOL
    preprocessing: str = "fast"
    allow_missing: bool = False
    fresh: bool = False
    missing_unknown: bool = False

    def __post_init__(self) -> None:
        require_protocol(self.protocol)


@dataclass(frozen=True)
class Evaluation:
    """The scores of a bundle on a data set.

    Attributes:
        scores: mIoU and related scores.
        confusion: int64 [K, K], rows are true; [K + 1, K + 1] if a pixel may be "unknown".
        entries: One entry per image, in the order of the data set.
        options: The options of the evaluation.
        coverage: Which part of the data set the scores cover.
        facts: Bundle, data set and machine.
        reused: Number of entries from an earlier run, including their times.
        restarted: Why entries of an earlier run were not used, in words; "" if they were.
        warnings: Whatever spoils or limits the numbers, `Dataset.remarks` first.
        unknown: Scores of "unknown", if a pixel may be.
        curve: How wrong labels are, by how few of them are given; needs the confidence.
    """

    scores: Scores
    confusion: Confusion
    entries: tuple[JournalEntry, ...]
    options: EvaluationOptions
    coverage: Coverage
    facts: Mapping[str, object] = field(default_factory=dict)
    reused: int = 0
    restarted: str = ""
    warnings: tuple[str, ...] = ()
    unknown: UnknownScores | None = None
    curve: RiskCoverage | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything but the confusion matrix as a JSON object."""
        return {
            "kind": "eval",
            **self.facts,
            "pictures": len(self.entries),
            "pictures_of_earlier_run": self.reused,
            "earlier_run": self.restarted or None,
            "labels": self.coverage.to_json(),
            "warnings": list(self.warnings),
            "scores": self.scores.to_json(self.options.protocol),
            "unknown": self._unknown(),
            "latency_ms": self.latency(),
            "rejection": self.rejection(),
        }

    def numbers(self) -> dict[str, float | None]:
        """Return the `EVALUATION`, for gates."""
        scores = self.scores.to_json(self.options.protocol)
        total = self.latency()["total"]
        numbers: dict[str, Any] = {key: scores[key] for key in EVALUATION if key in scores}
        numbers["pictures"] = float(len(self.entries))
        numbers["overflow_share"] = float(np.mean([entry.overflow for entry in self.entries]))
        numbers |= dict.fromkeys(("coverage", "risk", "known_miou", "aurc"))
        numbers |= dict.fromkeys(("unknown_precision", "unknown_recall", "unknown_iou"))
        numbers |= self.unknown.numbers() if self.unknown else {}
        numbers["aurc"] = None if self.curve is None else 100 * self.curve.area
        return numbers | {f"{key}_ms": total[key] for key in ("p50", "p90", "p99", "max")}

    def _unknown(self) -> dict[str, object] | None:
        if self.unknown is None:
            return None
        curve = None if self.curve is None else self.curve.to_json()
        return {**self.unknown.to_json(), "risk_coverage": curve}

    def latency(self) -> dict[str, dict[str, float]]:
        """Return p50, p90, p99, max and mean by stage, in milliseconds."""
        stages = self.entries[0].timings_ms
        return {s: summarize([entry.timings_ms[s] for entry in self.entries]) for s in stages}

    def rejection(self) -> dict[str, object]:
        """Return how many categories passed each threshold, and how often the slots overflowed."""
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

    A run that was interrupted resumes where it stopped when it is started again.

    Args:
        segmenter: A bundle on a backend.
        dataset: The labeled images.
        out: Folder for the files; created if needed.
        options: The options.
        progress: Wraps the samples, with a label, to show progress.

    Raises:
        InputError: An image or label map cannot be read or used, or categories do not match.
        UsageError: The bundle has no scores, which the published preprocessing needs.
        OutputError: A file cannot be written.
    """
    options = options or EvaluationOptions()
    require_preprocessing(segmenter, options.preprocessing)
    alignment = aligned(segmenter, dataset, options)
    folder = make_folder(Path(out))
    if segmenter.builds:
        # The engine is part of the journal's key, which an interrupted run compares.
        measure(segmenter, dataset.samples[0], dataset, alignment, options.preprocessing)
    journal = Journal(
        folder / JOURNAL_FILE,
        key=_key(segmenter, dataset, options, alignment),
        classes=alignment.classes,
        fresh=options.fresh,
    )
    known = _known(journal, dataset)
    with journal:
        todo = [sample for sample in dataset.samples if sample.name not in known]
        for sample in progress(todo, "image") if progress else todo:
            entry = measure(segmenter, sample, dataset, alignment, options.preprocessing)
            journal.add(entry)
            known[sample.name] = entry
    entries = tuple(known[sample.name] for sample in dataset.samples)
    evaluation = score_entries(entries, dataset, options, alignment)
    evaluation = replace(
        evaluation,
        facts=facts_of(segmenter, dataset, options, alignment),
        reused=len(entries) - len(todo),
        restarted=_restarted(journal),
    )
    write_evaluation(folder, evaluation, evaluation.to_json())
    return evaluation


def aligned(segmenter: Segmenter, dataset: Dataset, options: EvaluationOptions) -> Alignment:
    """Match the categories of a data set with what a segmenter says, which may be "unknown".

    Raises:
        UsageError: Pixels cannot be ignored and be "unknown" both.
        InputError: Categories are not in the vocabulary.
    """
    return align(
        dataset,
        segmenter.bundle.vocabulary,
        allow_missing=options.allow_missing,
        missing_unknown=options.missing_unknown,
        says_unknown=segmenter.unknown is not None and not segmenter.unknown.is_off,
    )


def _known(journal: Journal, dataset: Dataset) -> dict[str, JournalEntry]:
    """Return the entries, by name, whose image and labels have not changed by a byte."""
    if not journal.entries:
        return {}
    found = ((sample, journal.entries.get(sample.sha256())) for sample in dataset.samples)
    return {s.name: replace(entry, name=s.name) for s, entry in found if entry is not None}


def _restarted(journal: Journal) -> str:
    if journal.differs:
        return f"not used: it differs in {', '.join(journal.differs)}"
    return f"{journal.damaged} lines cannot be read, and are ignored" if journal.damaged else ""


def score_entries(
    entries: tuple[JournalEntry, ...],
    dataset: Dataset,
    options: EvaluationOptions,
    alignment: Alignment,
) -> Evaluation:
    """Return the scores of measured images, without facts.

    Raises:
        InputError: No pixel is labeled with a category that is scored.
    """
    matrix: Confusion = np.stack([entry.confusion for entry in entries]).sum(0)
    numbers: Counter[int] = Counter()
    for entry in entries:
        numbers.update(entry.numbers)
    coverage = Coverage.of(dataset, alignment, numbers)
    coverage.require_scored()
    scores = score_confusion(matrix, alignment.names)
    warnings = tuple(_warnings(dataset, alignment, coverage, numbers, matrix))
    return Evaluation(
        scores,
        matrix,
        entries,
        options,
        coverage,
        warnings=warnings,
        unknown=score_unknown(matrix, alignment.names) if alignment.unknown else None,
        curve=_curve(entries),
    )


def _curve(entries: tuple[JournalEntry, ...]) -> RiskCoverage | None:
    tallies = [entry.tally for entry in entries if entry.tally is not None]
    whole = np.sum(tallies, axis=0) if len(tallies) == len(entries) else None
    return None if whole is None or not whole.sum() else RiskCoverage.of(whole)


def _warnings(
    dataset: Dataset,
    alignment: Alignment,
    coverage: Coverage,
    numbers: Mapping[int, int],
    matrix: Confusion,
) -> Iterator[str]:
    yield from dataset.remarks
    if coverage.left_out:
        yield (
            f"{len(coverage.left_out)} of {coverage.categories} categories are not in the "
            f"vocabulary and are left out of every number: {some(list(coverage.left_out))}"
        )
    if dataset.vocabulary != "street":  # which has more classes than a bundle needs
        yield from (
            f"scored as one, because they share an output: {', '.join(g)}" for g in alignment.merged
        )
    yield from (message for _, message in number_hints(dataset.rule, numbers, dataset.classes))
    if (shift := shift_hint(matrix, alignment)) is not None:
        yield shift


def write_evaluation(folder: Path, evaluation: Evaluation, document: Mapping[str, object]) -> None:
    """Write the confusion matrix of an evaluation, and what is said of it as JSON.

    Raises:
        OutputError: A file cannot be written.
    """
    packed = io.BytesIO()
    names = np.asarray(evaluation.scores.names)
    np.savez_compressed(packed, confusion=evaluation.confusion, names=names)
    write_bytes(folder / CONFUSION_FILE, packed.getvalue())
    write_json(folder / EVALUATION_FILE, document)


def _key(
    segmenter: Segmenter, dataset: Dataset, options: EvaluationOptions, alignment: Alignment
) -> dict[str, object]:
    """Return everything that decides the result for an image, except the image and its labels."""
    rule = dataset.rule
    tables = (alignment.truth, alignment.prediction)
    return {
        "format": _FORMAT,
        "version": VERSION,
        "graph": answer_hash(segmenter.bundle),
        "backend": segmenter.backend,
        "engines": engine_hashes(segmenter.bundle, segmenter.backend),
        "threads": segmenter.threads,
        "machine": {k: v for k, v in machine_facts().items() if k in _MACHINE},
        "packages": {k: v for k, v in package_versions().items() if k in _PACKAGES},
        "ignore": sorted(rule.ignore),
        "labels-start": rule.zero,
        "categories": [rule.classes, None if dataset.classes is None else list(dataset.classes)],
        "outputs": list(alignment.names),
        "mapping": [None if table is None else table.tolist() for table in tables],
        "preprocessing": options.preprocessing,
        "unknown": None if segmenter.unknown is None else segmenter.unknown.thresholds,
    }


def facts_of(
    segmenter: Segmenter, dataset: Dataset, options: EvaluationOptions, alignment: Alignment
) -> dict[str, object]:
    """Return what was measured on what: bundle, data set, options, machine."""
    manifest = segmenter.bundle.manifest
    return {
        "bundle": segmenter.bundle.path.name,
        "graph_sha256": answer_hash(segmenter.bundle),
        "model": manifest.model.name,
        "precision": manifest.precision,
        "rejection_mode": manifest.rejection.mode,
        "answer": manifest.output.answer,
        "backend": segmenter.backend,
        "engines": plan_hashes(segmenter.bundle, segmenter.backend),
        "threads": segmenter.threads,
        "dataset": dataset.name,
        "source": dataset.source,
        "subset": dataset.subset,
        "protocol": options.protocol,
        "protocol_says": PROTOCOLS[options.protocol],
        "preprocessing": options.preprocessing,
        "categories_left_out": list(alignment.left_out),
        "categories_unknown": list(alignment.unnamed),
        "thresholds": _thresholds(segmenter),
        "environment": {"machine": machine_facts(), "packages": package_versions()},
    }


def _thresholds(segmenter: Segmenter) -> dict[str, object] | None:
    info = segmenter.unknown
    if info is None:
        return None
    by_output = zip(segmenter.names, info.of(len(segmenter.names)).tolist(), strict=True)
    values = dict(by_output) if len(set(info.thresholds)) > 1 else {"*": info.thresholds[0]}
    return {"measure": info.measure, "source": info.source, "by_output": values}
