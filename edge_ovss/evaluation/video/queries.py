"""Score a model's published video mode in torch: it sees every clip as a whole. For research."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss._optional import require
from edge_ovss._progress import Progress
from edge_ovss.bundle.contract import labels_dtype
from edge_ovss.datasets.alignment import align
from edge_ovss.datasets.clips import Clip, clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.evaluate import (
    EvaluationOptions,
    facts_of,
    score_entries,
    write_evaluation,
)
from edge_ovss.evaluation.one_image import pixels_by_number
from edge_ovss.evaluation.preprocessing import resize_published
from edge_ovss.evaluation.resume_log import JournalEntry
from edge_ovss.evaluation.video.evaluate import VideoEvaluation, video_facts
from edge_ovss.evaluation.video.moments import Shot, shots_of
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.evaluation.video.strip import STRIP_FILE, Strip
from edge_ovss.evaluation.video.track import Track, TruthTrack
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.reported import VSPW
from edge_ovss.metrics.video.blocks import block_change
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
    published, classes = options.protocol == VSPW, alignment.classes
    before, after, truth = Track(classes, published), Track(classes, published), TruthTrack(classes)
    strip, entries, steps = Strip(segmenter.palette), [], []
    clips = clips_of(dataset)

    def one(clip: Clip) -> None:
        shots = list(shots_of(clip, dataset, alignment))
        start = time.perf_counter()
        whole = network.by_clip([shot.frame for shot in shots])
        each_ms = 1e3 * (time.perf_counter() - start) / len(shots)
        before.begin()
        after.begin()
        for shot, found in zip(shots, whole, strict=True):
            alone = network.by_image(shot.frame)
            raw, shown = alignment.map_prediction(alone), alignment.map_prediction(found)
            moment = shot.moment
            before.add(moment, raw, count_confusion(moment.truth, raw, classes=classes))
            matrix = count_confusion(moment.truth, shown, classes=classes)
            after.add(moment, shown, matrix)
            truth.add(moment)
            strip.add(shot.frame, alone, found)
            steps.append(Step(found[:0], True, False, 0.0, 0.0))
            entries.append(_entry(shot, matrix, each_ms))

    for clip in progress(clips, "video") if progress else clips:
        one(clip)
    evaluation = score_entries(tuple(entries), dataset, options, alignment)
    facts = facts_of(segmenter, dataset, options, alignment) | {"backend": "torch"}
    result = VideoEvaluation(
        evaluation=replace(evaluation, facts=facts),
        options=VideoOptions(whole_clip=True),
        before=before.result(),
        after=after.result(),
        truth_tc=truth.tc,
        change=block_change(before.confusions, after.confusions, protocol=options.protocol),
        steps=tuple(steps),
        facts=video_facts(dataset, clips, before, alignment, options),
    )
    folder = make_folder(Path(out))
    write_evaluation(folder, result.evaluation, result.to_json())
    strip.write(folder / STRIP_FILE)
    return result


def _entry(shot: Shot, matrix: NDArray[np.int64], each_ms: float) -> JournalEntry:
    return JournalEntry(
        name=shot.sample.name,
        confusion=matrix,
        timings_ms={"infer": each_ms, "stream": 0.0, "total": each_ms},
        counts=(0, 0, 0),
        overflow=False,
        numbers=pixels_by_number(shot.moment.raw),
    )
