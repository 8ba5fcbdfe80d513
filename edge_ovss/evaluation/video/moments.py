"""The frames of a video with their truth, and the motion that scores are measured along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss.datasets.alignment import Alignment
from edge_ovss.datasets.clips import Clip
from edge_ovss.datasets.dataset import Dataset, Sample
from edge_ovss.errors import InputError
from edge_ovss.evaluation.video.track import Moment
from edge_ovss.motion.dis import open_flow
from edge_ovss.motion.vectors import Motion

MEASURING_FLOW = "dis:medium"
"""What moves labels for the scores where the exact flow is not known; never that of the method."""


@dataclass(frozen=True)
class Shot:
    """One frame to segment and to score.

    Attributes:
        sample: Where it comes from.
        frame: uint8 [H, W, 3], RGB.
        moment: What scores need.
        exact: The exact motion to the frame before, if it is known.
        time_s: Seconds since the first frame of the video.
    """

    sample: Sample
    frame: NDArray[np.uint8]
    moment: Moment
    exact: Motion | None
    time_s: float


def shots_of(clip: Clip, dataset: Dataset, alignment: Alignment) -> Iterator[Shot]:
    """Yield the frames of a video.

    Raises:
        InputError: A frame or label map cannot be read or used, or frames differ in size.
    """
    flow = None if clip.samples[0].motion else open_flow(MEASURING_FLOW)
    before, fps = None, dataset.fps or 1.0
    for number, sample in enumerate(clip.samples):
        with sample.named():
            frame, raw = sample.frame(), sample.raw_labels()
            truth = alignment.map_truth(dataset.rule.read(raw))
        if before is not None and before.shape != truth.shape:
            raise _sizes_differ(clip, sample)
        exact = sample.motion() if sample.motion else None
        motion = flow.advance(frame) if flow else exact
        sources = None if motion is None else motion.sources(*truth.shape)
        yield Shot(sample, frame, Moment(raw, truth, before, sources), exact, number / fps)
        before = truth


def _sizes_differ(clip: Clip, sample: Sample) -> InputError:
    message = f"Frame '{sample.name}' has a different size than those before it in the video."
    hint = "Put the frames of every video into a folder of its own."
    if not clip.name:
        hint = f"{hint} If the images are no video, omit --fps."
    return InputError(message, hint=hint)
