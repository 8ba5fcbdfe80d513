"""The scores of one way to answer videos, collected frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.metrics.confusion import Confusion
from edge_ovss.metrics.video.consistency import (
    WINDOWS,
    Consistency,
    Steadiness,
    VspwConsistency,
)
from edge_ovss.metrics.video.flashes import Flashes
from edge_ovss.metrics.video.tracking import Tracking, Truths
from edge_ovss.motion.vectors import Sources

LabelMap = NDArray[Any]


@dataclass(frozen=True)
class Moment:
    """One frame of a video, and the one before.

    Attributes:
        raw: The numbers in the label file, [H, W].
        truth: Categories, int32 [H, W], or `IGNORED`.
        before: The truth of the frame before; None for the first, or one of another size.
        sources: Where the pixels were in the frame before; None where it is not known.
    """

    raw: LabelMap
    truth: LabelMap
    before: LabelMap | None = None
    sources: Sources | None = None


@dataclass(frozen=True)
class VideoScores:
    """Scores of label maps that follow each other, in percent unless said otherwise.

    Attributes:
        vc: VC by number of frames: steady, right, and the area looked at.
        tc: Temporal consistency.
        flicker: Share of the pixels whose truth moves along whose label does not.
        change: Share of all pixels whose label does not move along.
        flashes: Categories that come for at most two frames, per 100 frames.
    """

    vc: dict[int, Steadiness]
    tc: float
    flicker: float
    change: float
    flashes: float

    def numbers(self) -> dict[str, float | None]:
        """Return the numbers by name; None where there is none."""
        found: dict[str, float] = {}
        for n, steady in self.vc.items():
            found[f"vc{n}"] = 100 * steady.steady
            found[f"vc{n}_right"] = 100 * steady.right
            found[f"vc{n}_area"] = 100 * steady.area
        found |= {"tc": self.tc, "flicker": self.flicker, "change": self.change}
        found["flashes"] = self.flashes
        return {name: None if np.isnan(value) else value for name, value in found.items()}


@dataclass
class Track:
    """Collects the scores of one way to answer.

    Attributes:
        classes: K, the number of categories; a label of K is "unknown".
        published: Whether VC is counted as VSPW's script does.
        confusions: Confusion matrices by video and frame.
    """

    classes: int
    published: bool = False
    confusions: list[list[Confusion]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._videos: list[dict[int, Steadiness]] = []
        self._consistency = Consistency()
        self._vspw = VspwConsistency()
        self._tracking = Tracking(self.classes)
        self._flashes: list[Flashes] = []
        self._last: LabelMap | None = None

    def begin(self) -> None:
        """Begin the next video."""
        self._close()
        self.confusions.append([])
        self._flashes.append(Flashes(self.classes))
        self._consistency = Consistency()
        self._vspw.begin()
        self._last = None

    def add(self, moment: Moment, labels: LabelMap, confusion: Confusion) -> None:
        """Take the predicted categories of the next frame, [H, W]."""
        self.confusions[-1].append(confusion)
        self._flashes[-1].add(labels)
        self._consistency.add(moment.truth, labels)
        if self.published:
            self._vspw.add(moment.raw, labels)
        if self._last is not None and moment.sources is not None and moment.before is not None:
            truths = Truths(moment.before, moment.truth)
            self._tracking.add(self._last, labels, moment.sources, truths)
        self._last = labels

    def _close(self) -> None:
        if self._consistency.frames:
            self._videos.append(self._consistency.result())

    def result(self) -> VideoScores:
        """Return the scores over all videos; nothing may be added afterwards."""
        self._close()
        frames = sum(flashes.frames for flashes in self._flashes)
        return VideoScores(
            vc={n: self._vc(n) for n in WINDOWS},
            tc=100 * self._tracking.tc,
            flicker=100 * self._tracking.flicker,
            change=100 * self._tracking.change,
            flashes=100 * sum(flashes.count for flashes in self._flashes) / max(frames, 1),
        )

    def _vc(self, n: int) -> Steadiness:
        found = Steadiness.mean([video[n] for video in self._videos])
        if not self.published:
            return found
        return Steadiness(self._vspw.result()[n], found.right, found.area)


class TruthTrack:
    """The truth's own temporal consistency: what a perfect answer would have.

    Args:
        classes: As for `Track`.
    """

    def __init__(self, classes: int) -> None:
        self._tracking = Tracking(classes)

    def add(self, moment: Moment) -> None:
        """Take the next frame."""
        if moment.sources is not None and moment.before is not None:
            labeled = Truths(moment.before, moment.truth).labeled(moment.sources)
            self._tracking.add(moment.before, moment.truth, labeled)

    @property
    def tc(self) -> float:
        """Temporal consistency in percent, or NaN."""
        return 100 * self._tracking.tc
