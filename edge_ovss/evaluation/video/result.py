"""The scores of a bundle on videos, frame by frame and as a stream, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_ovss.evaluation.evaluate import Evaluation
from edge_ovss.evaluation.latency import summarize
from edge_ovss.evaluation.video.options import VideoOptions
from edge_ovss.evaluation.video.track import VideoScores
from edge_ovss.metrics.bootstrap import Change
from edge_ovss.runtime.stream.stabilizer import Step


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
