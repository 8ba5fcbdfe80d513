"""Torch against backends and precisions: tensors, labels, IoU by category, mIoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._progress import Progress
from edge_ovss.bundle.decisive import SCORE_FLOOR
from edge_ovss.bundle.identity import graph_hash
from edge_ovss.bundle.ranking import rank_outputs
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.dataset import Dataset, Sample
from edge_ovss.errors import InputError, ParityError
from edge_ovss.metrics.bootstrap import Change, miou_change
from edge_ovss.metrics.confusion import Confusion, count_confusion
from edge_ovss.metrics.label_comparison import (
    LabelComparison,
    Pair,
    compare_labels,
    join_pairs,
)
from edge_ovss.metrics.miou import DEFAULT_PROTOCOL, Scores, score_confusion
from edge_ovss.metrics.tensors import TensorComparison, compare_tensors
from edge_ovss.parity.bisection import Bisection
from edge_ovss.parity.tolerances import Tolerance, tolerance_for
from edge_ovss.runtime.reference_check import rule_for
from edge_ovss.runtime.segmenter import Segmenter

if TYPE_CHECKING:
    from edge_ovss.parity.torch_reference import TorchAnswer, TorchReference

Labels = NDArray[Any]

NUMBERS = (
    "frames",
    "label_agreement",
    "label_agreement_min",
    "undecided",
    "score_error",
    "score_max_error",
    "score_cosine",
    "miou",
    "miou_torch",
    "miou_drop",
    "miou_drop_high",
    "worst_category_drop",
)
"""Numbers of a comparison that a gate may name."""


@dataclass(frozen=True)
class FrameParity:
    """One frame through torch and through a backend.

    Attributes:
        name: Of the sample.
        size: (height, width) of the frame.
        label_agreement: Share of pixels with the same label, of those that count.
        scores: Comparison of the scores; None where the bundle answers without.
        same_survivors: Whether the same categories are alive, and the counts equal.
        before: Confusion of torch with the truth; without a truth, of torch with itself.
        after: Confusion of the backend with the truth; without a truth, with torch.
        counted: Share of pixels that count: not those where torch is undecided.
        ties: Outputs between which torch is undecided, the most frequent pair first.
        flips: (torch's, the backend's) where a label is wrong, the most frequent pair first.
    """

    name: str
    size: tuple[int, int]
    label_agreement: float
    scores: TensorComparison | None
    same_survivors: bool
    before: Confusion
    after: Confusion
    counted: float = 1.0
    ties: tuple[Pair, ...] = ()
    flips: tuple[Pair, ...] = ()

    @property
    def pixels(self) -> int:
        """Number of pixels of the frame."""
        return self.size[0] * self.size[1]

    def to_json(self) -> dict[str, object]:
        """Return the frame as a JSON object, without the confusions."""
        return {
            "name": self.name,
            "height": self.size[0],
            "width": self.size[1],
            "label_agreement": self.label_agreement,
            "undecided": 1 - self.counted,
            "scores": None if self.scores is None else self.scores.to_json(),
            "same_survivors": self.same_survivors,
            "ties": [pair.to_json() for pair in self.ties],
            "flips": [pair.to_json() for pair in self.flips],
        }


@dataclass(frozen=True)
class Example:
    """A frame with both answers, kept for a report: uint8 [H, W, 3], labels [H, W] twice."""

    name: str
    agreement: float
    frame: NDArray[np.uint8]
    torch: Labels
    backend: Labels


@dataclass(frozen=True)
class BackendParity:
    """A bundle on a backend, held against torch.

    Attributes:
        bundle: Name of its folder.
        graph_sha256: Of its graph; a report shows only what was measured on its own graph.
        precision: Of its graph.
        backend: Registered name.
        names: The K categories that are scored.
        truth: Whether labels of a data set were the truth; else torch's own were.
        frames: One by sample.
        tolerance: What it is held to.
        examples: The frames that agree least, the worst first.
        protocol: Of the mean.
        bisection: Where a failure begins, if that was looked for.
        scope: What stands beside every mIoU, as `Alignment.scope`.
        left_out: Categories of the data set that no number is about.
    """

    bundle: str
    graph_sha256: str
    precision: str
    backend: str
    names: tuple[str, ...]
    truth: bool
    frames: tuple[FrameParity, ...]
    tolerance: Tolerance
    examples: tuple[Example, ...] = ()
    protocol: str = DEFAULT_PROTOCOL
    bisection: Bisection | None = None
    scope: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def label_agreement(self) -> float:
        """Share of equal labels over the pixels of all frames that count; 1 where none does."""
        counted = [frame.counted * frame.pixels for frame in self.frames]
        if not sum(counted):
            return 1.0
        return float(np.average([f.label_agreement for f in self.frames], weights=counted))

    @property
    def undecided(self) -> float:
        """Share of the pixels of all frames that do not count."""
        pixels = [frame.pixels for frame in self.frames]
        return 1.0 - float(np.average([f.counted for f in self.frames], weights=pixels))

    def ties(self) -> tuple[Pair, ...]:
        """Return the outputs that torch does not tell apart on all frames, the most first."""
        return join_pairs([(frame.pixels, frame.ties) for frame in self.frames])

    def flips(self) -> tuple[Pair, ...]:
        """Return (torch's, the backend's) of wrong labels on all frames, the most first."""
        return join_pairs([(frame.pixels, frame.flips) for frame in self.frames])

    def failures(self) -> tuple[str, ...]:
        """Return what does not hold, for people; nothing compared is a failure too."""
        if not self.frames:
            return ("nothing was compared",)
        found, limit = [], self.tolerance
        if not self.label_agreement >= limit.label_agreement:
            found.append(f"labels agree on {self.label_agreement:.6f} of the decided pixels, ")
            found[-1] += f"expected {limit.label_agreement}{_most_often(self.flips())}"
        elif self.undecided == 1.0 and not any(frame.scores for frame in self.frames):
            found.append("every label is undecided and there are no scores: nothing was compared")
        errors = [frame.scores.relative_l2 for frame in self.frames if frame.scores]
        if errors and not max(errors) <= limit.score_error:
            found.append(f"relative L2 of the scores is {max(errors):.3g}, ")
            found[-1] += f"expected at most {limit.score_error}"
        others = sum(not frame.same_survivors for frame in self.frames)
        if limit.same_survivors and others:
            found.append(f"other categories survive in {others} of {len(self.frames)} frames")
        return tuple(found)

    def __bool__(self) -> bool:
        return not self.failures()

    def scores(self) -> tuple[Scores, Scores]:
        """Return the scores of torch and of the backend."""
        before = np.stack([frame.before for frame in self.frames]).sum(0)
        after = np.stack([frame.after for frame in self.frames]).sum(0)
        return score_confusion(before, self.names), score_confusion(after, self.names)

    def change(self) -> Change:
        """Return the change of mIoU from torch to the backend, with its interval."""
        before = [frame.before for frame in self.frames]
        return miou_change(before, [f.after for f in self.frames], protocol=self.protocol)

    def numbers(self) -> dict[str, float | None]:
        """Return the `NUMBERS`, for gates."""
        before, after = self.scores()
        change, tensors = self.change(), [frame.scores for frame in self.frames if frame.scores]
        drops = 100 * (before.iou - after.iou)[before.truth_pixels > 0]
        return {
            "frames": float(len(self.frames)),
            "label_agreement": self.label_agreement,
            "label_agreement_min": min(frame.label_agreement for frame in self.frames),
            "undecided": self.undecided,
            "score_error": max((t.relative_l2 for t in tensors), default=None),
            "score_max_error": max((t.max_error for t in tensors), default=None),
            "score_cosine": min((t.cosine for t in tensors), default=None),
            "miou": 100 * after.miou(self.protocol),
            "miou_torch": 100 * before.miou(self.protocol),
            "miou_drop": -change.points,
            "miou_drop_high": -change.low,
            "worst_category_drop": float(drops.max()),
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything but images as a JSON object."""
        before, after = self.scores()
        numbers = {k: v if v is None or np.isfinite(v) else None for k, v in self.numbers().items()}
        return {
            "bundle": self.bundle,
            "graph_sha256": self.graph_sha256,
            "precision": self.precision,
            "backend": self.backend,
            "passed": bool(self),
            "failures": list(self.failures()),
            "tolerance": self.tolerance.to_json(),
            "protocol": self.protocol,
            "truth": "labels of the data set" if self.truth else "labels of torch",
            "scope": self.scope.strip(),
            "categories_left_out": list(self.left_out),
            "numbers": numbers,
            "miou_change": self.change().to_json(),
            "ties": [pair.to_json() for pair in self.ties()],
            "flips": [pair.to_json() for pair in self.flips()],
            "by_category": _by_category(before, after),
            "frames": [frame.to_json() for frame in self.frames],
            "bisection": None if self.bisection is None else self.bisection.to_json(),
        }


def _most_often(flips: Sequence[Pair]) -> str:
    if not flips:
        return ""
    expected, given = flips[0].outputs
    return f", most often '{given}' for '{expected}'"


def _by_category(before: Scores, after: Scores) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index, name in enumerate(before.names):
        torch, backend = 100 * float(before.iou[index]), 100 * float(after.iou[index])
        if before.truth_pixels[index] or not np.isnan(backend):
            known = not np.isnan(torch) and not np.isnan(backend)
            rows.append(
                {
                    "name": name,
                    "iou_torch": None if np.isnan(torch) else torch,
                    "iou": None if np.isnan(backend) else backend,
                    "change": backend - torch if known else None,
                }
            )
    return rows


def compare_backends(
    reference: TorchReference,
    segmenters: Sequence[Segmenter],
    dataset: Dataset,
    *,
    labelled: bool = True,
    protocol: str = DEFAULT_PROTOCOL,
    allow_missing: bool = False,
    keep: int = 4,
    progress: Progress | None = None,
) -> tuple[BackendParity, ...]:
    """Run every sample through torch once and through every backend, and compare.

    Args:
        reference: The model in torch.
        segmenters: Bundles on backends, of one vocabulary.
        dataset: Samples; their labels are read only if `labelled`.
        labelled: Whether the truth is the data set's; else torch's labels are.
        protocol: Of the mean.
        allow_missing: Ignore pixels of categories that the vocabulary has no word for.
        keep: How many examples to keep, those that agree least.
        progress: Wraps the samples, with a label.

    Raises:
        ParityError: There is nothing to compare.
        InputError: An image or label map cannot be used.
    """
    if not dataset.samples or not segmenters:
        message = "There are no frames or no backends: nothing was compared."
        raise ParityError(message)
    vocabulary = segmenters[0].bundle.vocabulary
    truthful = align(dataset, vocabulary, allow_missing=allow_missing) if labelled else None
    frames: list[list[FrameParity]] = [[] for _ in segmenters]
    examples: list[list[Example]] = [[] for _ in segmenters]
    for sample in progress(dataset.samples, "image") if progress else dataset.samples:
        frame = sample.frame()
        answer = reference.segment(frame)
        truth = _truth(sample, dataset, truthful)
        for index, segmenter in enumerate(segmenters):
            found, example = _compare(segmenter, sample.name, frame, answer, truthful, truth)
            frames[index].append(found)
            kept = sorted([*examples[index], example], key=lambda e: e.agreement)
            examples[index] = kept[:keep]
    names = vocabulary.outputs if truthful is None else truthful.names
    return tuple(
        BackendParity(
            bundle=segmenter.bundle.path.name,
            graph_sha256=graph_hash(segmenter.bundle),
            precision=segmenter.bundle.manifest.precision,
            backend=segmenter.backend,
            names=tuple(names),
            truth=labelled,
            frames=tuple(compared),
            tolerance=tolerance_for(segmenter.bundle.manifest.precision, segmenter.backend),
            examples=tuple(kept),
            protocol=protocol,
            scope="" if truthful is None else truthful.scope,
            left_out=() if truthful is None else truthful.left_out,
        )
        for segmenter, compared, kept in zip(segmenters, frames, examples, strict=True)
    )


def _truth(
    sample: Sample, dataset: Dataset, alignment: Alignment | None
) -> NDArray[np.int32] | None:
    if alignment is None:
        return None
    try:
        return alignment.map_truth(dataset.rule.read(sample.raw_labels()))
    except InputError as err:
        message = f"Sample '{sample.name}': {err.message}"
        raise type(err)(message, hint=err.hint) from err


def _compare(
    segmenter: Segmenter,
    name: str,
    frame: NDArray[np.uint8],
    answer: TorchAnswer,
    alignment: Alignment | None,
    truth: NDArray[np.int32] | None,
) -> tuple[FrameParity, Example]:
    result = segmenter.segment(frame)
    mapped = Alignment(segmenter.names) if alignment is None else alignment
    labels, expected = mapped.map_prediction(result.labels), mapped.map_prediction(answer.labels)
    true = expected.astype(np.int32) if truth is None else truth
    classes = len(mapped.names)
    scores = None
    if result.scores is not None:
        scores = compare_tensors(result.scores, answer.scores, floor=SCORE_FLOOR)
    compared = _compare_labels(segmenter, result.labels, answer)
    found = FrameParity(
        name=name,
        size=(frame.shape[0], frame.shape[1]),
        label_agreement=compared.agreement,
        scores=scores,
        same_survivors=_same(result.alive, answer.alive) and _same(result.counts, answer.counts),
        before=count_confusion(true, expected, classes=classes),
        after=count_confusion(true, labels, classes=classes),
        counted=compared.counted,
        ties=compared.ties,
        flips=compared.flips,
    )
    return found, Example(name, compared.agreement, frame, answer.labels, result.labels)


def _compare_labels(segmenter: Segmenter, labels: Labels, answer: TorchAnswer) -> LabelComparison:
    bundle = segmenter.bundle
    size = (labels.shape[0], labels.shape[1])
    ranking = rank_outputs(answer.scores, bundle.vocabulary.output_map, size, labels)
    precision = rule_for(bundle.manifest, segmenter.backend).precision
    names = bundle.vocabulary.outputs
    return compare_labels(labels, answer.labels, ranking, precision=precision, names=names)


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return bool(np.array_equal(first, second))


def numbers_of_all(parities: Sequence[BackendParity]) -> dict[str, float | None]:
    """Return, for gates over several backends, the worst of every number; None where unknown."""
    worst: dict[str, float | None] = {}
    high = {"frames", "label_agreement", "label_agreement_min", "score_cosine", "miou"}
    high |= {"miou_torch"}  # more is better; of the rest, such as "undecided", less
    for name in NUMBERS:
        values = [parity.numbers()[name] for parity in parities]
        known = [value for value in values if value is not None]
        choose = min if name in high else max
        worst[name] = choose(known) if len(known) == len(values) and known else None
    return worst
