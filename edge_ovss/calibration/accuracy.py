"""Compare a changed graph with the float32 graph: label agreement, mIoU, classes that lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import Arrays
from edge_ovss.bundle.decisive import (
    is_decided,
    is_decided_with_unknown,
    rank_outputs,
    tolerance_of,
)
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import ArtifactError, InputError
from edge_ovss.frames.images import picture_hash
from edge_ovss.graph.model import feed, first_line
from edge_ovss.graph.tensor_probe import open_session
from edge_ovss.metrics.confusion import Confusion, count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.vocabulary import Vocabulary

_LOSERS = 5


@dataclass(frozen=True)
class Accuracy:
    """How good the labels of a graph are.

    Attributes:
        agreement: Share of pixels with the same label as in the float32 graph.
        worst_agreement: The same for the worst image.
        pictures: Number of images.
        miou: In percent, None without labels.
        iou: In percent, by class of the ground truth.
        decided_agreement: `agreement` on the pixels where the float32 graph is decided: where
            rounding alone cannot change the label. None where its scores are not known.
    """

    agreement: float
    worst_agreement: float
    pictures: int
    miou: float | None = None
    iou: dict[str, float] | None = None
    decided_agreement: float | None = None

    def drop_from(self, base: Accuracy) -> float | None:
        """Return how many mIoU points are lost compared with `base`; below 0 is a gain."""
        if self.miou is None or base.miou is None:
            return None
        return base.miou - self.miou

    def losers(self, base: Accuracy) -> dict[str, float]:
        """Return the IoU points that the worst classes lose compared with `base`."""
        if self.iou is None or base.iou is None:
            return {}
        lost = {name: base.iou[name] - self.iou[name] for name in base.iou}
        worst = sorted(lost, key=lambda name: -lost[name])[:_LOSERS]
        return {name: round(lost[name], 3) for name in worst}


@dataclass(frozen=True)
class Labeled:
    """A labeled data set, read once.

    Attributes:
        names: Names of the samples.
        frames: uint8 [H, W, 3] RGB each.
        truths: int32 [H, W] scored classes or −1 each.
        alignment: What the numbers of `truths` and of the graph mean.
    """

    names: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    truths: tuple[NDArray[np.int32], ...]
    alignment: Alignment

    @classmethod
    def read(
        cls, dataset: Dataset, vocabulary: Vocabulary, *, allow_missing: bool = False
    ) -> Labeled:
        """Read images and label maps.

        Raises:
            InputError: The vocabulary lacks its classes, or an image or label map cannot be read.
        """
        alignment = align(dataset, vocabulary, allow_missing=allow_missing)
        frames, truths = [], []
        for sample in dataset.samples:
            frame = sample.frame()
            truth = alignment.map_truth(dataset.rule.read(sample.raw_labels()))
            if truth.shape != frame.shape[:2]:
                message = (
                    f"Sample '{sample.name}' has a label map of {truth.shape} and an image of "
                    f"{frame.shape[:2]} (height x width); expected equal sizes."
                )
                raise InputError(message, hint="See edge-ovss data check.")
            frames.append(frame)
            truths.append(truth)
        names = tuple(sample.name for sample in dataset.samples)
        return cls(names, tuple(frames), tuple(truths), alignment)

    def hashes(self) -> dict[str, str]:
        """Return the names of the samples by `picture_hash`."""
        return {picture_hash(f): name for f, name in zip(self.frames, self.names, strict=True)}


@dataclass(frozen=True)
class Baseline:
    """Images, their truth, and the labels of the float32 graph that others are compared with.

    Attributes:
        frames: uint8 [H, W, 3] RGB each.
        truths: int32 [H, W] scored classes or −1 each; None without labels.
        alignment: What the numbers of `truths` and of the graph mean.
        expected: The graph's labels, [H, W] each.
        decided: bool [H, W] each, where the graph's scores decide; None where it has none.
        thresholds: Of "unknown", float32 [K], with which both graphs run; None for none.
        words: `text` and `places` of open graphs, with which both run; None where they are frozen.
    """

    frames: Sequence[NDArray[np.uint8]]
    truths: Sequence[NDArray[np.int32]] | None
    alignment: Alignment | None
    expected: Sequence[NDArray[Any]]
    decided: Sequence[NDArray[np.bool_] | None]
    thresholds: NDArray[np.float32] | None = None
    words: Arrays | None = None

    @classmethod
    def measure(
        cls,
        path: Path,
        frames: Sequence[NDArray[np.uint8]],
        truths: Sequence[NDArray[np.int32]] | None = None,
        alignment: Alignment | None = None,
        *,
        output_map: Sequence[int] | None = None,
        thresholds: NDArray[np.float32] | None = None,
        words: Arrays | None = None,
    ) -> Baseline:
        """Run the float32 graph on every image.

        Args:
            path: The float32 ONNX file.
            frames: uint8 [H, W, 3] RGB each.
            truths: int32 [H, W] scored classes or −1 each; None without labels.
            alignment: What the numbers of `truths` and of the graph mean.
            output_map: Output of every category. With it and with scores among the outputs of
                the graph, it is known which labels are decided.
            thresholds: Of "unknown", float32 [K]; None for none.
            words: `text` and `places` of an open graph.

        Raises:
            ArtifactError: The graph fails, or its float outputs are not finite.
        """
        session = open_session(path)
        expected, decided = [], []
        for frame in frames:
            outputs = _run(session, frame, thresholds, words)
            expected.append(outputs["labels"][0])
            decided.append(_decided(outputs, output_map, thresholds))
        return cls(frames, truths, alignment, expected, decided, thresholds, words)

    @classmethod
    def measure_labeled(
        cls,
        path: Path,
        labeled: Labeled,
        *,
        output_map: Sequence[int] | None = None,
        thresholds: NDArray[np.float32] | None = None,
        words: Arrays | None = None,
    ) -> Baseline:
        """Run the float32 graph on a labeled data set; see `measure`."""
        return cls.measure(
            path,
            labeled.frames,
            labeled.truths,
            labeled.alignment,
            output_map=output_map,
            thresholds=thresholds,
            words=words,
        )

    def first(self, count: int) -> Baseline:
        """Return the same for the first images only."""
        cut = slice(count)
        truths = None if self.truths is None else self.truths[cut]
        return replace(
            self,
            frames=self.frames[cut],
            truths=truths,
            expected=self.expected[cut],
            decided=self.decided[cut],
        )

    @cached_property
    def accuracy(self) -> Accuracy:
        """The accuracy of the float32 graph."""
        return self._accuracy(self.expected)

    def compare(self, path: Path) -> Accuracy:
        """Run a changed graph on every image.

        Raises:
            ArtifactError: It fails, or its float outputs are not finite.
        """
        session = open_session(path)
        answers = (_run(session, frame, self.thresholds, self.words) for frame in self.frames)
        return self._accuracy([answer["labels"][0] for answer in answers])

    def _accuracy(self, labels: Sequence[NDArray[Any]]) -> Accuracy:
        pairs = zip(labels, self.expected, strict=True)
        equal = [float((given == wanted).mean()) for given, wanted in pairs]
        sizes = [each.size for each in labels]
        agreement = float(np.average(equal, weights=sizes))
        decided = self._decided_agreement(labels)
        if self.truths is None or self.alignment is None:
            return Accuracy(agreement, min(equal), len(labels), decided_agreement=decided)
        # An unknown pixel is a miss for its class, and a false alarm for none.
        alignment, names = replace(self.alignment, unknown=True), self.alignment.names
        total: Confusion = np.zeros((alignment.classes, alignment.classes), np.int64)
        for given, truth in zip(labels, self.truths, strict=True):
            mapped = alignment.map_prediction(given)
            total += count_confusion(truth, mapped, classes=alignment.classes)
        scores = score_confusion(total, names)
        present = np.flatnonzero(scores.truth_pixels)
        iou = {names[index]: 100.0 * float(scores.iou[index]) for index in present}
        return Accuracy(agreement, min(equal), len(labels), 100.0 * scores.miou(), iou, decided)

    def _decided_agreement(self, labels: Sequence[NDArray[Any]]) -> float | None:
        equal = counted = 0
        for given, wanted, decided in zip(labels, self.expected, self.decided, strict=True):
            if decided is None:
                return None
            equal += int(((given == wanted) & decided).sum())
            counted += int(decided.sum())
        return equal / counted if counted else None


def _decided(
    outputs: dict[str, NDArray[Any]],
    output_map: Sequence[int] | None,
    thresholds: NDArray[np.float32] | None,
) -> NDArray[np.bool_] | None:
    if output_map is None or "scores" not in outputs:
        return None
    labels = outputs["labels"][0]
    scores = outputs["scores"].reshape(-1, *outputs["scores"].shape[-2:])[: len(output_map)]
    ranking = rank_outputs(scores, output_map, (labels.shape[0], labels.shape[1]), labels)
    decided = is_decided(ranking.lead, "fp32")
    if thresholds is None:
        return decided
    tolerance = tolerance_of(ranking.lead, "fp32")
    best = np.maximum(ranking.first, 0)  # where nothing scores at all, none is best
    return is_decided_with_unknown(best, ranking.best, decided, thresholds, tolerance)


def _run(
    session: Any,  # noqa: ANN401 (a class of onnxruntime)
    frame: NDArray[np.uint8],
    thresholds: NDArray[np.float32] | None = None,
    words: Arrays | None = None,
) -> dict[str, NDArray[Any]]:
    names = [output.name for output in session.get_outputs()]
    try:
        found = session.run(names, feed(session, frame, thresholds, words))
    except Exception as err:
        message = f"The graph fails on an image: {first_line(err)}"
        raise ArtifactError(message, hint="Try FP32, or another --base.") from err
    values: dict[str, NDArray[Any]] = dict(zip(names, found, strict=True))
    for name in ("scores", "confidence"):
        if name in values and not np.isfinite(values[name]).all():
            message = f"Output '{name}' of the graph is not finite on an image."
            raise ArtifactError(message, hint="A tensor overflows; calibrate on more images.")
    return values
