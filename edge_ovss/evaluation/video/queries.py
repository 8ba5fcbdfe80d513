"""Score a model's published video mode in torch: it sees every clip as a whole. For research."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss._progress import Progress
from edge_ovss.bundle.contract import labels_dtype
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.evaluate import EvaluationOptions
from edge_ovss.evaluation.preprocessing import resize_published
from edge_ovss.evaluation.video.comparison import Comparison, Cost
from edge_ovss.evaluation.video.moments import Shot, shots_of
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.evaluation.video.result import VideoEvaluation
from edge_ovss.parity.torch_reference import load_torch
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.stream.stabilizer import Step

LabelMap = NDArray[Any]


class ClipNetwork:
    """The torch model of a bundle, image by image and clip by clip; the same images for both.

    Args:
        segmenter: The bundle.
        checkpoint: The checkpoint of the export; None where it was none.
        threads: CPU threads of torch; None for torch's default.

    Raises:
        UsageError: The model has no video mode, or the checkpoint is missing.
        MissingDependencyError: torch is not installed.
    """

    def __init__(
        self, segmenter: Segmenter, checkpoint: str | Path | None, threads: int | None
    ) -> None:
        self._torch = require("torch", extra="export")
        self._bundle = segmenter.bundle
        self._loaded = load_torch(self._bundle, checkpoint=checkpoint, threads=threads)
        if not hasattr(self._loaded.model, "segment_clip"):
            name = self._bundle.manifest.model.name
            message = f"The model '{name}' has no published video mode."
            raise UsageError(message, hint="Omit --video-queries; --stabilize is for every model.")

    def by_image(self, frame: NDArray[np.uint8]) -> LabelMap:
        """Segment a frame by itself, uint8 [H, W, 3]; returns outputs [H, W]."""
        with self._torch.inference_mode():
            scores = self._loaded.model(
                self._prepared([frame]), self._loaded.embeddings, size=frame.shape[:2]
            )
        return self._labels(scores)[0]

    def by_clip(self, frames: Sequence[NDArray[np.uint8]]) -> list[LabelMap]:
        """Segment all frames of a clip at once; returns outputs [H, W] of each."""
        model: Any = self._loaded.model
        with self._torch.inference_mode():
            scores = model.segment_clip(
                self._prepared(frames), self._loaded.embeddings, size=frames[0].shape[:2]
            )
        return self._labels(scores)

    def _prepared(self, frames: Sequence[NDArray[np.uint8]]) -> Any:  # noqa: ANN401 (a tensor)
        picture = self._bundle.manifest.picture
        resized = np.stack([resize_published(frame) for frame in frames]).astype(np.float32)
        normal = (resized - np.asarray(picture.mean, np.float32)) / np.asarray(
            picture.std, np.float32
        )
        return self._torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2)))

    def _labels(self, scores: Any) -> list[LabelMap]:  # noqa: ANN401 (a tensor)
        words = self._bundle.vocabulary
        table = np.asarray(words.output_map, labels_dtype(len(words.outputs)))
        return list(table[scores.argmax(1).numpy()])


def evaluate_queries(
    segmenter: Segmenter,
    dataset: Dataset,
    out: str | Path,
    options: EvaluationOptions | None = None,
    *,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> VideoEvaluation:
    """Compare a model's video mode with itself image by image, both in torch.

    Frames are resized as published (shortest edge 640), whatever the options say. A whole video is
    held in memory.

    Args:
        segmenter: The bundle, for its names and its facts; its backend is not used.
        dataset: Labeled videos.
        out: Folder for the files; created if needed.
        options: The options.
        checkpoint: The checkpoint of the export.
        progress: Wraps the videos, with a label, to show progress.

    Raises:
        InputError: A frame or label map cannot be used, or categories do not match.
        UsageError: The model has no video mode.
        OutputError: A file cannot be written.
    """
    options = replace(options or EvaluationOptions(), preprocessing="published")
    alignment = align(
        dataset,
        segmenter.bundle.vocabulary,
        allow_missing=options.allow_missing,
        missing_unknown=options.missing_unknown,
    )
    network = ClipNetwork(segmenter, checkpoint, segmenter.threads)
    comparison = Comparison(segmenter, dataset, alignment, options)
    clips = comparison.clips
    for clip in progress(clips, "video") if progress else clips:
        _add_clip(comparison, network, list(shots_of(clip, dataset, alignment)))
    return comparison.finish(out, VideoOptions(whole_clip=True), backend="torch")


def _add_clip(comparison: Comparison, network: ClipNetwork, shots: Sequence[Shot]) -> None:
    start = time.perf_counter()
    whole = network.by_clip([shot.frame for shot in shots])
    each_ms = 1e3 * (time.perf_counter() - start) / len(shots)
    comparison.begin()
    for shot, labels in zip(shots, whole, strict=True):
        step = Step(labels, key=True, cut=False, held=0.0, age_ms=0.0)
        cost = Cost({"infer": each_ms, "stream": 0.0, "total": each_ms})
        comparison.add(shot, network.by_image(shot.frame), step, cost)
