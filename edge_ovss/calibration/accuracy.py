"""Hold a changed graph against the float32 graph: label agreement, mIoU, categories that lose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import tolerance_of
from edge_ovss.bundle.ranking import rank_outputs
from edge_ovss.calibration.images import picture_hash
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import ArtifactError, InputError
from edge_ovss.graph.tensor_probe import first_line, open_session
from edge_ovss.metrics.confusion import Confusion, count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.vocabulary import Vocabulary

_LOSERS = 5


@dataclass(frozen=True)
class Judged:
    """What a graph reaches.

    Attributes:
        agreement: Share of pixels with the label that the float32 graph gives.
        worst_agreement: That of the worst picture.
        pictures: On how many.
        miou: In percent, None without labels.
        iou: By category in percent, for categories in the ground truth.
        decided_agreement: `agreement` where the float32 graph has decided, which leaves out what
            rounding alone may change; None where its scores are not known.
    """

    agreement: float
    worst_agreement: float
    pictures: int
    miou: float | None = None
    iou: dict[str, float] | None = None
    decided_agreement: float | None = None

    def drop_from(self, base: Judged) -> float | None:
        """Return how many mIoU points are lost against another one; below 0 is a gain."""
        if self.miou is None or base.miou is None:
            return None
        return base.miou - self.miou

    def losers(self, base: Judged) -> dict[str, float]:
        """Return the IoU points that the worst categories lose against another one."""
        if self.iou is None or base.iou is None:
            return {}
        lost = {name: base.iou[name] - self.iou[name] for name in base.iou}
        worst = sorted(lost, key=lambda name: -lost[name])[:_LOSERS]
        return {name: round(lost[name], 3) for name in worst}


@dataclass(frozen=True)
class Labelled:
    """A labelled data set, read once.

    Attributes:
        names: Of the samples.
        frames: uint8 [H, W, 3] RGB each.
        truths: int32 [H, W] scored categories or −1 each.
        alignment: What the numbers of `truths` and of the graph mean.
    """

    names: tuple[str, ...]
    frames: tuple[NDArray[np.uint8], ...]
    truths: tuple[NDArray[np.int32], ...]
    alignment: Alignment

    @classmethod
    def read(
        cls, dataset: Dataset, vocabulary: Vocabulary, *, allow_missing: bool = False
    ) -> Labelled:
        """Read pictures and label maps.

        Raises:
            InputError: Its categories have no words, or a picture or label map cannot be read.
        """
        alignment = align(dataset, vocabulary, allow_missing=allow_missing)
        frames, truths = [], []
        for sample in dataset.samples:
            frame = sample.frame()
            truth = alignment.map_truth(dataset.rule.read(sample.raw_labels()))
            if truth.shape != frame.shape[:2]:
                message = (
                    f"Sample '{sample.name}' has labels of {truth.shape} and a picture of "
                    f"{frame.shape[:2]} (height x width); expected equal sizes."
                )
                raise InputError(message, hint="See edge-ovss data check.")
            frames.append(frame)
            truths.append(truth)
        names = tuple(sample.name for sample in dataset.samples)
        return cls(names, tuple(frames), tuple(truths), alignment)

    def hashes(self) -> dict[str, str]:
        """Return the name by `picture_hash`."""
        return {picture_hash(f): name for f, name in zip(self.frames, self.names, strict=True)}


class Judge:
    """Pictures, their truth and the answers of the float32 graph.

    Args:
        path: The float32 ONNX file.
        frames: uint8 [H, W, 3] RGB each.
        truths: int32 [H, W] scored categories or −1 each; None without labels.
        alignment: What the numbers of `truths` and of the graph mean.
        output_map: Output of every category, to tell by the scores, if the graph answers with
            them, which labels are decided.
    """

    def __init__(
        self,
        path: Path,
        frames: Sequence[NDArray[np.uint8]],
        truths: Sequence[NDArray[np.int32]] | None = None,
        alignment: Alignment | None = None,
        *,
        output_map: Sequence[int] | None = None,
    ) -> None:
        self.frames, self.truths, self.alignment = frames, truths, alignment
        session = open_session(path)
        self.expected: list[NDArray[Any]] = []
        self.decided: list[NDArray[np.bool_] | None] = []
        for frame in frames:
            answer = _answer(session, frame)
            self.expected.append(answer["labels"][0])
            self.decided.append(_decided(answer, output_map))
        self.base = self._judged(self.expected)

    @classmethod
    def of_labelled(
        cls, path: Path, labelled: Labelled, *, output_map: Sequence[int] | None = None
    ) -> Judge:
        """Judge by a labelled data set."""
        truths, alignment = labelled.truths, labelled.alignment
        return cls(path, labelled.frames, truths, alignment, output_map=output_map)

    def judge(self, path: Path) -> Judged:
        """Run a graph on every picture.

        Raises:
            ArtifactError: It fails, or its float outputs are not finite.
        """
        session = open_session(path)
        return self._judged([_answer(session, frame)["labels"][0] for frame in self.frames])

    def _judged(self, labels: Sequence[NDArray[Any]]) -> Judged:
        pairs = zip(labels, self.expected, strict=True)
        equal = [float((given == wanted).mean()) for given, wanted in pairs]
        sizes = [each.size for each in labels]
        agreement = float(np.average(equal, weights=sizes))
        decided = self._decided_agreement(labels)
        if self.truths is None or self.alignment is None:
            return Judged(agreement, min(equal), len(labels), decided_agreement=decided)
        names = self.alignment.names
        total: Confusion = np.zeros((len(names), len(names)), np.int64)
        for given, truth in zip(labels, self.truths, strict=True):
            mapped = self.alignment.map_prediction(given)
            total += count_confusion(truth, mapped, classes=len(names))
        scores = score_confusion(total, names)
        present = np.flatnonzero(scores.truth_pixels)
        iou = {names[index]: 100.0 * float(scores.iou[index]) for index in present}
        return Judged(agreement, min(equal), len(labels), 100.0 * scores.miou(), iou, decided)

    def _decided_agreement(self, labels: Sequence[NDArray[Any]]) -> float | None:
        equal = counted = 0
        for given, wanted, decided in zip(labels, self.expected, self.decided, strict=True):
            if decided is None:
                return None
            equal += int(((given == wanted) & decided).sum())
            counted += int(decided.sum())
        return equal / counted if counted else None


def _decided(
    answer: dict[str, NDArray[Any]], output_map: Sequence[int] | None
) -> NDArray[np.bool_] | None:
    if output_map is None or "scores" not in answer:
        return None
    labels = answer["labels"][0]
    scores = answer["scores"].reshape(-1, *answer["scores"].shape[-2:])
    ranking = rank_outputs(scores, output_map, (labels.shape[0], labels.shape[1]), labels)
    decided: NDArray[np.bool_] = ranking.lead > tolerance_of(ranking.lead, "fp32")
    return decided


def _answer(session: Any, frame: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:  # noqa: ANN401
    names = [output.name for output in session.get_outputs()]
    try:
        found = session.run(names, {"frame": frame[None]})
    except Exception as err:
        message = f"The graph fails on a picture: {first_line(err)}"
        raise ArtifactError(message, hint="Try FP32, or another --base.") from err
    values: dict[str, NDArray[Any]] = dict(zip(names, found, strict=True))
    for name in ("scores", "confidence"):
        if name in values and not np.isfinite(values[name]).all():
            message = f"Output '{name}' of the graph is not finite on a picture."
            raise ArtifactError(message, hint="A tensor overflows; calibrate on more pictures.")
    return values
