"""Score a bundle on videos: every frame by itself, and as a stream."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss._progress import Progress
from edge_ovss.datasets.alignment import Alignment, align
from edge_ovss.datasets.clips import Clip, clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.errors import UsageError
from edge_ovss.evaluation.evaluate import (
    Evaluation,
    EvaluationOptions,
    facts_of,
    score_entries,
    write_evaluation,
)
from edge_ovss.evaluation.latency import summarize
from edge_ovss.evaluation.one_image import pixels_by_number
from edge_ovss.evaluation.preprocessing import predict, require_preprocessing
from edge_ovss.evaluation.resume_log import JournalEntry
from edge_ovss.evaluation.video.moments import MEASURING_FLOW, Shot, shots_of
from edge_ovss.evaluation.video.options import EXACT_FLOW, VideoOptions
from edge_ovss.evaluation.video.strip import STRIP_FILE, Strip
from edge_ovss.evaluation.video.track import Track, TruthTrack, VideoScores
from edge_ovss.metrics.bootstrap import Change
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.metrics.reported import VSPW
from edge_ovss.metrics.video.blocks import block_change
from edge_ovss.motion.vectors import Motion
from edge_ovss.runtime.result import Result
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.stream.stabilizer import Stabilizer, Step


@dataclass(frozen=True)
class VideoEvaluation:
    """The scores of a bundle on videos.

    Attributes:
        evaluation: mIoU and the like of the stream's labels.
        options: How the frames were answered.
        before: Scores frame by frame.
        after: Scores of the stream; equal where nothing is done to the labels.
        truth_tc: The truth's own temporal consistency in percent, or NaN.
        change: Change of mIoU from frame by frame to the stream.
        steps: What the stream did for each frame.
        facts: Further facts, for the JSON document.
        warning: That the frames are no video; "" if they are.
    """

    evaluation: Evaluation
    options: VideoOptions
    before: VideoScores
    after: VideoScores
    truth_tc: float
    change: Change
    steps: tuple[Step, ...]
    facts: Mapping[str, object]
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the label maps as a JSON object."""
        return {**self.evaluation.to_json(), "video": self.video_json()}

    def video_json(self) -> dict[str, Any]:
        """Return what is said of the videos."""
        return {
            **self.facts,
            "title": self.options.title(),
            "hold_ms": self.options.hold_ms,
            "keyframe": self.options.keyframe,
            "flow": self.options.flow if self.options.changes else None,
            "frame_by_frame": self.before.numbers(),
            "stream": self.after.numbers(),
            "tc_truth": None if np.isnan(self.truth_tc) else self.truth_tc,
            "miou_change": self.change.to_json(),
            "inferences": self.inferences,
            "held": self.held,
            "cuts": sum(step.cut for step in self.steps),
            "age_ms": summarize([step.age_ms or 0.0 for step in self.steps]),
            "latency_ms": self.latency(),
            "warning": self.warning or None,
        }

    @property
    def inferences(self) -> float:
        """Share of the frames that the network saw, in percent."""
        return 100 * sum(step.key for step in self.steps) / len(self.steps)

    @property
    def held(self) -> float:
        """Share of the pixels of key frames that kept a label against the network, in percent."""
        return 100 * float(np.mean([step.held for step in self.steps if step.key]))

    def latency(self) -> dict[str, dict[str, float] | None]:
        """Return milliseconds of key frames, other frames and all, and of the stream alone."""
        entries = list(zip(self.evaluation.entries, self.steps, strict=True))
        times = {
            "key": [e.timings_ms["total"] for e, step in entries if step.key],
            "other": [e.timings_ms["total"] for e, step in entries if not step.key],
            "all": [e.timings_ms["total"] for e, _ in entries],
            "stream": [e.timings_ms["stream"] for e, _ in entries],
        }
        return {name: summarize(found) if found else None for name, found in times.items()}

    def numbers(self) -> dict[str, float | None]:
        """Return `EVALUATION` and `VIDEO`, for gates."""
        latency = self.latency()
        flicker = self.before.flicker
        ratio = self.after.flicker / flicker if flicker > 0 else None
        found = {
            **self.evaluation.numbers(),
            **self.after.numbers(),
            "tc_truth": None if np.isnan(self.truth_tc) else self.truth_tc,
            "age_ms": float(np.mean([step.age_ms or 0.0 for step in self.steps])),
            "held": self.held,
            "inferences": self.inferences,
            "miou_drop": -self.change.points,
            "flicker_ratio": ratio,
        }
        for kind in ("key", "other"):
            times = latency[kind]
            for share in ("p50", "p99"):
                found[f"{kind}_{share}_ms"] = None if times is None else times[share]
        return found


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
        InputError: A frame or label map cannot be read or used, or categories do not match.
        UsageError: The exact flow is asked for, and is not known.
        OutputError: A file cannot be written.
    """
    options, video = options or EvaluationOptions(), video or VideoOptions()
    require_preprocessing(segmenter, options.preprocessing)
    if video.flow == EXACT_FLOW and any(sample.motion is None for sample in dataset.samples):
        message = "The exact flow is only known of synthetic://street?frames=..."
        raise UsageError(message, hint="Omit --flow exact.")
    says_unknown = segmenter.unknown is not None and not segmenter.unknown.is_off
    alignment = align(
        dataset,
        segmenter.bundle.vocabulary,
        allow_missing=options.allow_missing,
        missing_unknown=options.missing_unknown,
        says_unknown=says_unknown,
    )
    run = _Run(segmenter, dataset, alignment, options, video)
    run.all_clips(progress)
    folder = make_folder(Path(out))
    found = run.result()
    write_evaluation(folder, found.evaluation, found.to_json())
    run.strip.write(folder / STRIP_FILE)
    return found


class _Run:
    """An evaluation under way."""

    def __init__(
        self,
        segmenter: Segmenter,
        dataset: Dataset,
        alignment: Alignment,
        options: EvaluationOptions,
        video: VideoOptions,
    ) -> None:
        self.segmenter, self.dataset, self.alignment = segmenter, dataset, alignment
        self.options, self.video = options, video
        published = options.protocol == VSPW
        self.before = Track(alignment.classes, published)
        self.after = Track(alignment.classes, published)
        self.truth = TruthTrack(alignment.classes)
        self.entries: list[JournalEntry] = []
        self.steps: list[Step] = []
        self.clips = clips_of(dataset)
        self.warning = ""
        self.strip = Strip(segmenter.palette)

    def all_clips(self, progress: Progress | None) -> None:
        """Go through every frame of every video."""
        shots = (
            (number, shot)
            for number, clip in enumerate(self.clips)
            for shot in shots_of(clip, self.dataset, self.alignment)
        )
        samples = self.dataset.samples
        counted = progress(samples, "frame") if progress else samples
        last, exact = -1, _ExactFlow()
        stabilizer = self._stabilizer(exact)
        for (number, shot), _ in zip(shots, counted, strict=True):
            if number != last:
                self._warn(stabilizer)
                last, stabilizer = number, self._stabilizer(exact)
                self.before.begin()
                self.after.begin()
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
        raw, shown = (self.alignment.map_prediction(m) for m in (found.labels, step.labels))
        classes, truth = self.alignment.classes, shot.moment.truth
        self.before.add(shot.moment, raw, count_confusion(truth, raw, classes=classes))
        confusion = count_confusion(truth, shown, classes=classes)
        self.after.add(shot.moment, shown, confusion)
        self.truth.add(shot.moment)
        self.strip.add(shot.frame, found.labels, step.labels)
        self.steps.append(replace(step, labels=step.labels[:0]))
        times = _times(found.result, stream_ms, key=step.key)
        self.entries.append(
            JournalEntry(
                name=shot.sample.name,
                confusion=confusion,
                timings_ms=times,
                counts=tuple(int(count) for count in found.result.counts),
                overflow=found.result.overflow,
                numbers=pixels_by_number(shot.moment.raw),
            )
        )

    def result(self) -> VideoEvaluation:
        """Return the scores."""
        evaluation = score_entries(tuple(self.entries), self.dataset, self.options, self.alignment)
        facts = facts_of(self.segmenter, self.dataset, self.options, self.alignment)
        change = block_change(
            self.before.confusions, self.after.confusions, protocol=self.options.protocol
        )
        return VideoEvaluation(
            evaluation=replace(evaluation, facts=facts),
            options=self.video,
            before=self.before.result(),
            after=self.after.result(),
            truth_tc=self.truth.tc,
            change=change,
            steps=tuple(self.steps),
            facts=video_facts(self.dataset, self.clips, self.before, self.alignment, self.options),
            warning=self.warning,
        )


def video_facts(
    dataset: Dataset,
    clips: Sequence[Clip],
    before: Track,
    alignment: Alignment,
    options: EvaluationOptions,
) -> dict[str, object]:
    """Return what is said of the videos besides scores: their rate, and IoU frame by frame."""
    matrix = np.sum([m for clip in before.confusions for m in clip], axis=0)
    scores = score_confusion(matrix, alignment.names).to_json(options.protocol)
    exact = all(sample.motion is not None for sample in dataset.samples)
    return {
        "videos": len(clips),
        "fps": dataset.fps,
        "measured_along": EXACT_FLOW if exact else MEASURING_FLOW,
        "scores_frame_by_frame": scores,
        "strip": STRIP_FILE,
    }


def _times(result: Result, stream_ms: float, *, key: bool) -> dict[str, float]:
    """Return milliseconds of a frame; of one that is no key frame, the network costs nothing."""
    infer = result.timings["infer"] if key else 0.0
    whole = result.timings["total"] if key else 0.0
    return {"infer": infer, "stream": stream_ms, "total": whole + stream_ms}
