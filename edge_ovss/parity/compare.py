"""Compare backends and precisions with torch: tensors, labels, IoU by category, mIoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._progress import Progress
from edge_ovss.bundle.decisive import SCORE_FLOOR, with_unknown
from edge_ovss.bundle.identity import answer_hash
from edge_ovss.bundle.reference import rule_for
from edge_ovss.bundle.tolerances import tolerance_for
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.dataset import Dataset, Sample
from edge_ovss.errors import ParityError
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.label_comparison import compare_by_scores
from edge_ovss.metrics.reported import DEFAULT_PROTOCOL
from edge_ovss.metrics.tensors import compare_tensors
from edge_ovss.parity.results import BackendParity, Example, FrameParity
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.trt.engine_store import plan_hashes

if TYPE_CHECKING:
    from edge_ovss.parity.torch_reference import TorchAnswer, TorchReference


def compare_backends(
    reference: TorchReference,
    segmenters: Sequence[Segmenter],
    dataset: Dataset,
    *,
    labeled: bool = True,
    protocol: str = DEFAULT_PROTOCOL,
    allow_missing: bool = False,
    keep: int = 4,
    progress: Progress | None = None,
) -> tuple[BackendParity, ...]:
    """Run every sample through torch once and through every backend, and compare.

    Args:
        reference: The model in torch.
        segmenters: Bundles on backends, all with the same vocabulary.
        dataset: Samples; their labels are read only if `labeled`.
        labeled: Whether the truth is the data set's labels; else it is torch's.
        protocol: Protocol of the mean.
        allow_missing: Ignore pixels of categories that are not in the vocabulary.
        keep: Number of examples to keep, those that agree least.
        progress: Wraps the samples, with a label.

    Raises:
        ParityError: There is nothing to compare.
        InputError: An image or label map is unusable.
    """
    if not dataset.samples or not segmenters:
        message = "There are no frames or no backends: nothing was compared."
        raise ParityError(message)
    vocabulary = segmenters[0].bundle.vocabulary
    truthful = align(dataset, vocabulary, allow_missing=allow_missing) if labeled else None
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
            graph_sha256=answer_hash(segmenter.bundle),
            precision=segmenter.bundle.manifest.precision,
            backend=segmenter.backend,
            names=tuple(names),
            truth=labeled,
            frames=tuple(compared),
            tolerance=tolerance_for(segmenter.precision),
            examples=tuple(kept),
            protocol=protocol,
            scope="" if truthful is None else truthful.scope,
            left_out=() if truthful is None else truthful.left_out,
            engines=plan_hashes(segmenter.bundle, segmenter.backend),
        )
        for segmenter, compared, kept in zip(segmenters, frames, examples, strict=True)
    )


def _truth(
    sample: Sample, dataset: Dataset, alignment: Alignment | None
) -> NDArray[np.int32] | None:
    if alignment is None:
        return None
    with sample.named():
        return alignment.map_truth(dataset.rule.read(sample.raw_labels()))


def _compare(
    segmenter: Segmenter,
    name: str,
    frame: NDArray[np.uint8],
    answer: TorchAnswer,
    alignment: Alignment | None,
    truth: NDArray[np.int32] | None,
) -> tuple[FrameParity, Example]:
    result = segmenter.segment(frame)
    mapped = replace(alignment or Alignment(segmenter.names), unknown=True)
    classes = mapped.classes
    scores = None
    if result.scores is not None:
        scores = compare_tensors(result.scores, answer.scores, floor=SCORE_FLOOR)
    precision = rule_for(segmenter.bundle.manifest, segmenter.precision).precision
    words = segmenter.bundle.vocabulary
    thresholds = segmenter.thresholds()
    compared, ranking = compare_by_scores(
        result.labels,
        answer.labels,
        answer.scores,
        words,
        precision=precision,
        thresholds=thresholds,
    )
    torch_labels = answer.labels
    if thresholds is not None:
        torch_labels = with_unknown(answer.labels, ranking.best, thresholds)
    labels, expected = mapped.map_prediction(result.labels), mapped.map_prediction(torch_labels)
    true = expected.astype(np.int32) if truth is None else truth
    found = FrameParity(
        name=name,
        size=(frame.shape[0], frame.shape[1]),
        labels=compared,
        scores=scores,
        same_survivors=_same(result.alive, answer.alive) and _same(result.counts, answer.counts),
        before=count_confusion(true, expected, classes=classes),
        after=count_confusion(true, labels, classes=classes),
    )
    return found, Example(name, compared.agreement, frame, torch_labels, result.labels)


def _same(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return bool(np.array_equal(first, second))
