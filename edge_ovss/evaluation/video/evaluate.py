"""Score a bundle on videos: every frame by itself, and as a stream."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ovss._progress import Progress
from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import InputError, UsageError
from edge_ovss.evaluation.evaluate import EvaluationOptions, aligned
from edge_ovss.evaluation.preprocessing import predict, require_preprocessing
from edge_ovss.evaluation.video.comparison import Comparison, Cost
from edge_ovss.evaluation.video.moments import Shot, shots_of
from edge_ovss.evaluation.video.options import EXACT_FLOW, VideoOptions
from edge_ovss.evaluation.video.result import VideoEvaluation
from edge_ovss.motion.stored import StoredFlow, is_stored
from edge_ovss.motion.vectors import Motion
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.stream.stabilizer import Stabilizer


class _ExactFlow:
    """Hands on the motion that is known of the frames."""

    def __init__(self) -> None:
        self.motion: Motion | None = None

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        """Return the motion of this frame."""
        del frame
        return self.motion

    def forget(self) -> None:
        """Nothing is kept."""


def evaluate_video(
    segmenter: Segmenter,
    dataset: Dataset,
    out: str | Path,
    options: EvaluationOptions | None = None,
    video: VideoOptions | None = None,
    *,
    progress: Progress | None = None,
) -> VideoEvaluation:
    """Score a bundle on videos, and write `eval.json`, `confusion.npz` and a strip of frames.

    The network sees every frame once; the stream is given its answers to key frames only, so that
    both ways are compared on the same answers.

    Args:
        segmenter: A bundle on a backend.
        dataset: Labeled videos.
        out: Folder for the files; created if needed.
        options: The options.
        video: How frames are answered.
        progress: Wraps the videos' frames, with a label, to show progress.

    Raises:
        InputError: A frame, label map or flow cannot be read or used, or categories do not match.
        UsageError: The exact flow is asked for, and is not known.
        OutputError: A file cannot be written.
    """
    options, video = options or EvaluationOptions(), video or VideoOptions()
    require_preprocessing(segmenter, options.preprocessing)
    if video.flow == EXACT_FLOW and any(sample.motion is None for sample in dataset.samples):
        message = "The exact flow is only known of synthetic://street?frames=..."
        raise UsageError(message, hint="Omit --flow exact.")
    _check_stored(video, dataset)
    comparison = Comparison(segmenter, dataset, aligned(segmenter, dataset, options), options)
    run = _Run(segmenter, comparison, options, video)
    run.all_clips(dataset, progress)
    return comparison.finish(out, video, warning=run.warning)


def _check_stored(video: VideoOptions, dataset: Dataset) -> None:
    """Check that the file of the motion, if there is one, is that of this video."""
    if not is_stored(video.flow):
        return
    clips, frames = len(clips_of(dataset)), len(dataset.samples)
    if clips > 1:
        message = f"Flow '{video.flow}' is that of one video; there are {clips}."
        raise InputError(message, hint="Score one video at a time with its own file.")
    if (known := len(StoredFlow(video.flow))) != frames:
        message = f"Flow '{video.flow}' has motion for {known} frames; the video has {frames}."
        raise InputError(message, hint="Give one array of vectors for each frame.")


class _Run:
    """An evaluation under way."""

    def __init__(
        self,
        segmenter: Segmenter,
        comparison: Comparison,
        options: EvaluationOptions,
        video: VideoOptions,
    ) -> None:
        self.segmenter, self.comparison = segmenter, comparison
        self.options, self.video = options, video
        self.warning = ""

    def all_clips(self, dataset: Dataset, progress: Progress | None) -> None:
        """Go through every frame of every video."""
        shots = (
            (number, shot)
            for number, clip in enumerate(self.comparison.clips)
            for shot in shots_of(clip, dataset, self.comparison.alignment)
        )
        samples = dataset.samples
        counted = progress(samples, "frame") if progress else samples
        last, exact = -1, _ExactFlow()
        stabilizer = self._stabilizer(exact)
        for (number, shot), _ in zip(shots, counted, strict=True):
            if number != last:
                self._warn(stabilizer)
                last, stabilizer = number, self._stabilizer(exact)
                self.comparison.begin()
            exact.motion = shot.exact
            self._frame(shot, stabilizer)
        self._warn(stabilizer)

    def _stabilizer(self, exact: _ExactFlow) -> Stabilizer:
        flow = exact if self.video.flow == EXACT_FLOW else self.video.flow
        if not self.video.changes:
            flow = "none"
        return Stabilizer(hold_ms=self.video.hold_ms, keyframe=self.video.keyframe, flow=flow)

    def _warn(self, stabilizer: Stabilizer) -> None:
        if stabilizer.scenes.unrelated:
            self.warning = stabilizer.scenes.warning()

    def _frame(self, shot: Shot, stabilizer: Stabilizer) -> None:
        found = predict(self.segmenter, shot.frame, preprocessing=self.options.preprocessing)
        start = time.perf_counter()
        step = stabilizer.step(shot.frame, lambda _: found.labels, time_s=shot.time_s)
        stream_ms = 1e3 * (time.perf_counter() - start)
        counts = tuple(int(count) for count in found.result.counts)
        times = _times(found.result, stream_ms, key=step.key)
        cost = Cost(times, counts, found.result.overflow)
        self.comparison.add(shot, found.labels, step, cost)


def _times(result: Result, stream_ms: float, *, key: bool) -> dict[str, float]:
    """Return milliseconds of a frame; of one that is no key frame, the network costs nothing."""
    infer = result.timings["infer"] if key else 0.0
    whole = result.timings["total"] if key else 0.0
    return {"infer": infer, "stream": stream_ms, "total": whole + stream_ms}
