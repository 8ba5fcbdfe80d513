"""Two ways to answer the frames of videos, scored side by side: frame by frame, and as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._files import make_folder
from edge_ovss.datasets.alignment import Alignment
from edge_ovss.datasets.clips import clips_of
from edge_ovss.datasets.dataset import Dataset
from edge_ovss.evaluation.evaluate import (
    EvaluationOptions,
    facts_of,
    score_entries,
    write_evaluation,
)
from edge_ovss.evaluation.one_image import pixels_by_number
from edge_ovss.evaluation.resume_log import JournalEntry
from edge_ovss.evaluation.video.moments import MEASURING_FLOW, Shot
from edge_ovss.evaluation.video.options import EXACT_FLOW, VideoOptions
from edge_ovss.evaluation.video.result import VideoEvaluation
from edge_ovss.evaluation.video.strip import STRIP_FILE, Strip
from edge_ovss.evaluation.video.track import Track, TruthTrack
from edge_ovss.metrics.confusion import count_confusion
from edge_ovss.metrics.miou import score_confusion
from edge_ovss.metrics.reported import VSPW
from edge_ovss.metrics.video.blocks import block_change
from edge_ovss.runtime.segmenter import Segmenter
from edge_ovss.runtime.stream.stabilizer import Step


@dataclass(frozen=True)
class Cost:
    """What the stream's answer to one frame took.

    Attributes:
        timings_ms: Milliseconds by stage.
        counts: Number of categories that passed the threshold at each rejection.
        overflow: Whether the slots were too few for them.
    """

    timings_ms: Mapping[str, float]
    counts: tuple[int, ...] = (0, 0, 0)
    overflow: bool = False


class Comparison:
    """Collects both answers frame by frame; the videos one after the other.

    Args:
        segmenter: The bundle, for its names and its facts.
        dataset: Labeled videos.
        alignment: Of both.
        options: The options of the evaluation.

    Attributes:
        alignment: As given.
        clips: The videos, in the order in which they are expected.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        dataset: Dataset,
        alignment: Alignment,
        options: EvaluationOptions,
    ) -> None:
        self._segmenter, self._dataset = segmenter, dataset
        self.alignment, self._options = alignment, options
        self.clips = clips_of(dataset)
        published = options.protocol == VSPW
        categories = len(alignment.names)
        self._before = Track(categories, published)
        self._after = Track(categories, published)
        self._truth = TruthTrack(categories)
        self._strip = Strip(segmenter.palette)
        self._entries: list[JournalEntry] = []
        self._steps: list[Step] = []

    def begin(self) -> None:
        """Begin the next video."""
        self._before.begin()
        self._after.begin()

    def add(self, shot: Shot, alone: NDArray[Any], step: Step, cost: Cost) -> None:
        """Take the next frame.

        Args:
            shot: The frame with its truth.
            alone: Labels [H, W] of the frame by itself.
            step: What the stream shows.
            cost: What that took.
        """
        raw, shown = (self.alignment.map_prediction(m) for m in (alone, step.labels))
        classes, truth = self.alignment.classes, shot.moment.truth
        self._before.add(shot.moment, raw, count_confusion(truth, raw, classes=classes))
        confusion = count_confusion(truth, shown, classes=classes)
        self._after.add(shot.moment, shown, confusion)
        self._truth.add(shot.moment)
        self._strip.add(shot.frame, alone, step.labels)
        self._steps.append(replace(step, labels=step.labels[:0]))
        self._entries.append(
            JournalEntry(
                name=shot.sample.name,
                confusion=confusion,
                timings_ms=cost.timings_ms,
                counts=cost.counts,
                overflow=cost.overflow,
                numbers=pixels_by_number(shot.moment.raw),
            )
        )

    def finish(
        self, out: str | Path, video: VideoOptions, *, warning: str = "", backend: str | None = None
    ) -> VideoEvaluation:
        """Return the scores, and write `eval.json`, `confusion.npz` and the strip of frames.

        Args:
            out: Folder for the files; created if needed.
            video: How the stream was answered.
            warning: That the frames are no video.
            backend: What answered, if it was not the segmenter.

        Raises:
            InputError: There is nothing to score.
            OutputError: A file cannot be written.
        """
        found = self._result(video, warning, backend)
        folder = make_folder(Path(out))
        write_evaluation(folder, found.evaluation, found.to_json())
        self._strip.write(folder / STRIP_FILE)
        return found

    def _result(self, video: VideoOptions, warning: str, backend: str | None) -> VideoEvaluation:
        dataset, alignment, options = self._dataset, self.alignment, self._options
        evaluation = score_entries(tuple(self._entries), dataset, options, alignment)
        facts = facts_of(self._segmenter, dataset, options, alignment)
        if backend is not None:
            facts["backend"] = backend
        before, after = self._before.confusions, self._after.confusions
        return VideoEvaluation(
            evaluation=replace(evaluation, facts=facts),
            options=video,
            before=self._before.result(),
            after=self._after.result(),
            truth_tc=self._truth.tc,
            change=block_change(
                before, after, protocol=options.protocol, classes=len(alignment.names)
            ),
            steps=tuple(self._steps),
            facts=self._facts(),
            warning=warning,
        )

    def _facts(self) -> dict[str, object]:
        """Return what is said of the videos besides scores: their rate, IoU frame by frame."""
        matrix = np.sum([m for clip in self._before.confusions for m in clip], axis=0)
        scores = score_confusion(matrix, self.alignment.names).to_json(self._options.protocol)
        exact = all(sample.motion is not None for sample in self._dataset.samples)
        return {
            "videos": len(self.clips),
            "fps": self._dataset.fps,
            "measured_along": EXACT_FLOW if exact else MEASURING_FLOW,
            "scores_frame_by_frame": scores,
            "strip": STRIP_FILE,
        }
