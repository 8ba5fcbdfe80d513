"""Find thresholds of "unknown" on labeled images, with an honest figure, and write their file."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_ovss._files import make_folder, write_json
from edge_ovss._progress import Progress
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.unknown import ALL_OTHERS, OFF, Target, UnknownInfo, file_document
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.dataset import Dataset, Sample
from edge_ovss.errors import InputError, UsageError
from edge_ovss.evaluation.preprocessing import predict
from edge_ovss.frames.images import picture_hash
from edge_ovss.metrics.confusion import IGNORED, require_size
from edge_ovss.metrics.reported import TUNED
from edge_ovss.metrics.risk_coverage import step_of, thresholds
from edge_ovss.metrics.tuning import TUNERS, LabelCounts, cross_validate, sum_counts
from edge_ovss.runtime.segmenter import Segmenter, target_of

FOLDS = 5
_SHOWN = 5
# In percent: a threshold for each word must be so much better than one for all.
_WORTH = 0.1


@dataclass(frozen=True)
class Choice:
    """Thresholds of one kind.

    Attributes:
        thresholds: By word; "*" for all of them.
        figure: In percent, on the images that they were tuned on.
        validated: In percent, cross-validated.
    """

    thresholds: Mapping[str, float]
    figure: float
    validated: float

    def to_json(self) -> dict[str, object]:
        """Return the choice as a JSON object."""
        return {
            "thresholds": dict(self.thresholds),
            "figure": self.figure,
            "cross_validated": self.validated,
        }


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        figure: Name of the figure.
        without: The figure without thresholds, in percent.
        choices: One threshold ("one") and one for each word ("each").
        chosen: Key of the better one.
        dataset: Name of the data set, and of the part that was used.
        source: Name of its folder.
        images: Number of images.
        folds: Number of groups that the images were divided into.
        alignment: Which categories are words, and which are none.
    """

    figure: str
    without: float
    choices: Mapping[str, Choice]
    chosen: str
    dataset: str
    source: str
    images: int
    folds: int
    alignment: Alignment

    def facts(self) -> dict[str, object]:
        """Return how the thresholds were found, and how good they are, as a JSON object."""
        return {
            "figure": self.figure,
            "figure_says": TUNED[self.figure],
            "without_thresholds": self.without,
            **{how: choice.to_json() for how, choice in self.choices.items()},
            "chosen": self.chosen,
            "dataset": self.dataset,
            "source": self.source,
            "images": self.images,
            "folds": self.folds,
            "categories_unknown": list(self.alignment.unnamed),
        }

    def document(self, target: Target) -> dict[str, object]:
        """Return the file of thresholds."""
        return file_document(target, self.choices[self.chosen].thresholds, self.facts())


def tune_unknown(
    segmenter: Segmenter,
    dataset: Dataset,
    out: Path,
    *,
    figure: str = "miou",
    progress: Progress | None = None,
) -> Tuned:
    """Find the thresholds that maximise a figure, and write them to a file.

    Where the truth is no word of the vocabulary, "unknown" is right. The images are divided into
    groups, and each group is scored with the thresholds of all others: so is the cross-validated
    figure found.

    Args:
        segmenter: A bundle whose graph takes thresholds and outputs the confidence.
        dataset: The labeled images.
        out: The file to write.
        figure: One of `metrics.reported.TUNED`.
        progress: Wraps the samples, with a label.

    Raises:
        UsageError: There is no such figure, or the bundle cannot be tuned.
        InputError: The images cannot be used: too few, without a pixel that is no word, or among
            those that the bundle was calibrated on.
        OutputError: The file cannot be written.
    """
    info = _require_tunable(segmenter, figure)
    alignment = align(dataset, segmenter.bundle.vocabulary, missing_unknown=True)
    if len(dataset.samples) < 2:
        message = f"{dataset.title} has one image; expected at least 2, to validate thresholds."
        raise InputError(message, hint="Give more images.")
    refuse_calibration_images(segmenter.bundle, dataset)
    folds = _count(segmenter, dataset, alignment, info, progress)
    choices, without = _choose(folds, figure, segmenter.names, info)
    worth = choices["each"].validated - choices["one"].validated >= _WORTH
    found = Tuned(
        figure=figure,
        without=without,
        choices=choices,
        chosen="each" if worth else "one",
        dataset=dataset.title,
        source=dataset.source,
        images=len(dataset.samples),
        folds=len(folds),
        alignment=alignment,
    )
    make_folder(out.parent)
    write_json(out, found.document(target_of(segmenter.bundle, info)))
    return found


def _require_tunable(segmenter: Segmenter, figure: str) -> UnknownInfo:
    if figure not in TUNED:
        message = f"Figure '{figure}' is unknown; expected {' or '.join(TUNED)}."
        raise UsageError(message)
    info, name = segmenter.bundle.manifest.unknown, segmenter.bundle.path.name
    if info is None:
        message = f"Bundle '{name}' was exported before labels could be unknown."
        raise UsageError(message, hint="Export it again, with --outputs labels,confidence.")
    if "confidence" not in segmenter.bundle.manifest.output.outputs:
        message = f"Bundle '{name}' does not output the confidence, which thresholds are tuned on."
        hint = "Export it again with --outputs labels,confidence; the file fits both bundles."
        raise UsageError(message, hint=hint)
    return info


def _count(
    segmenter: Segmenter,
    dataset: Dataset,
    alignment: Alignment,
    info: UnknownInfo,
    progress: Progress | None,
) -> list[LabelCounts]:
    """Return the counts of each group of images."""
    places = list(range(len(dataset.samples)))
    random.Random(0).shuffle(places)
    group = {place: turn % FOLDS for turn, place in enumerate(places)}
    folds: dict[int, LabelCounts] = {}
    samples = list(dataset.samples)
    for place, sample in enumerate(progress(samples, "image") if progress else samples):
        counts = _count_one(segmenter, sample, dataset, alignment, info)
        fold = group[place]
        folds[fold] = folds[fold] + counts if fold in folds else counts
    return [folds[fold] for fold in sorted(folds)]


def _count_one(
    segmenter: Segmenter,
    sample: Sample,
    dataset: Dataset,
    alignment: Alignment,
    info: UnknownInfo,
) -> LabelCounts:
    with sample.named():
        frame, raw = sample.frame(), sample.raw_labels()
        truth = alignment.map_truth(dataset.rule.read(raw))
        found = predict(segmenter, frame, unknown=OFF)
        require_size(truth, found.labels)
    counted = truth != IGNORED
    measure: Any = found.measure
    return LabelCounts.of(
        truth[counted].astype(np.int64),
        alignment.map_prediction(found.labels)[counted].astype(np.int64),
        step_of(measure[counted], info.range),
        words=len(alignment.names),
    )


def _choose(
    folds: Sequence[LabelCounts], figure: str, names: Sequence[str], info: UnknownInfo
) -> tuple[dict[str, Choice], float]:
    """Return both kinds of thresholds, and the figure without any in percent."""
    whole = sum_counts(folds)
    _require_pixels(whole)
    values = thresholds(info.range)
    choices = {}
    for how, tune in TUNERS.items():
        steps = tune(whole, figure)
        # In the digits that a float32 needs.
        found = [float(str(value)) for value in values[steps]]
        choices[how] = Choice(
            {ALL_OTHERS: found[0]} if how == "one" else dict(zip(names, found, strict=True)),
            100 * float(whole.outcome(steps).figure(figure)[0]),
            100 * cross_validate(folds, how, figure),
        )
    off = np.zeros(len(names), np.int64)
    return choices, 100 * float(whole.outcome(off).figure(figure)[0])


def _require_pixels(whole: LabelCounts) -> None:
    if not whole.truth[:-1].sum():
        message = "No pixel's truth is a word of the vocabulary, so there is nothing to tune."
        raise InputError(message, hint="Check the layout and its ignore value: data check.")
    if not whole.truth[-1]:
        message = (
            "Every labeled pixel's truth is a word of the vocabulary: no threshold would be "
            "better than none."
        )
        hint = "Tune on images with labels of more than these words, or give --unknown a number."
        raise InputError(message, hint=hint)


def refuse_calibration_images(bundle: Bundle, dataset: Dataset) -> None:
    """Check that a bundle was not calibrated on images of a data set.

    Bundles of older versions hold only the names of those images: equal names are refused then.

    Raises:
        InputError: It was; the message names them. Or an image cannot be read.
    """
    facts: Mapping[str, Any] = bundle.manifest.precision_facts.calibration or {}
    hashes, names = facts.get("hashes"), facts.get("names")
    if isinstance(hashes, list):
        both = [s.name for s in dataset.samples if picture_hash(s.frame()) in hashes]
    else:
        known = set(names) if isinstance(names, list) else set()
        both = [s.name for s in dataset.samples if s.picture and s.picture.name in known]
    if both:
        message = (
            f"{len(both)} images are among those that the bundle was calibrated on: "
            f"{', '.join(both[:_SHOWN])}."
        )
        hint = "Give other images: on these the bundle looks better than it is."
        raise InputError(message, hint=hint)
