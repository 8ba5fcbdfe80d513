"""Labels that do not flicker, and a network that need not see every frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss.motion.dis import DEFAULT_FLOW, FlowSource, open_flow
from edge_ovss.motion.following import Following, following
from edge_ovss.motion.vectors import Labels
from edge_ovss.runtime.stream.counter import LabelCounter
from edge_ovss.runtime.stream.timing import HOLD_MS, StreamClock, check_keyframe

Frame = NDArray[np.uint8]
Segment = Callable[[Frame], Labels]

CUT = 0.5
"""More lost pixels than this share, and the frame shows something else than the one before."""
_FEW = 3


@dataclass(frozen=True)
class Step:
    """What a stream shows for one frame.

    Attributes:
        labels: [H, W] in the type of the network's labels; belongs to the caller.
        key: Whether an answer of the network came in with this frame.
        cut: Whether the frame has nothing in common with the one before.
        held: Share of pixels that keep a label against the network, 0 to 1; 0 where there was no
            answer.
        age_ms: Milliseconds from the newest frame that the network saw to this one; None where
            the frames have no time.
    """

    labels: Labels
    key: bool
    cut: bool
    held: float
    age_ms: float | None


class Scenes:
    """Counts the cuts of a stream, to tell videos from images that have nothing in common."""

    def __init__(self) -> None:
        self.frames = 0
        self.cuts = 0

    def add(self, *, cut: bool) -> None:
        """Count a frame that has one before it."""
        self.frames += 1
        self.cuts += cut

    @property
    def unrelated(self) -> bool:
        """Whether most frames have nothing in common with the frame before."""
        return self.frames >= _FEW and 2 * self.cuts > self.frames

    def warning(self) -> str:
        """Return a sentence for the user."""
        return (
            f"{self.cuts} of {self.frames} frames have nothing in common with the frame before "
            "them: this is no video, or its frames are too far apart, and labels cannot be "
            "followed from one to the next"
        )


class StreamMemory:
    """What is kept from frame to frame, and when it is of no use any more.

    Args:
        clock: Takes the times of frames.
        flow: How frames move: a name that `open_flow` takes, or a source of motion.

    Attributes:
        scenes: How many frames had nothing in common with the one before.
    """

    def __init__(self, clock: StreamClock, flow: str | FlowSource) -> None:
        self._clock = clock
        self._flow = open_flow(flow) if isinstance(flow, str) else flow
        self._counter = LabelCounter()
        self.scenes = Scenes()

    def _advance(self, frame: Frame, time_s: float | None) -> tuple[Following | None, bool]:
        """Take the next frame.

        Returns:
            Where its pixels come from, or None if there is nothing to go on from; and whether
            that is because of a cut.
        """
        self._clock.tick(time_s)
        motion = self._flow.advance(frame)
        size = (frame.shape[0], frame.shape[1])
        if motion is None or self._counter.size != size:
            return None, False
        sources = following(motion, *size)
        cut = sources.lost > CUT
        self.scenes.add(cut=cut)
        return None if cut else sources, cut

    def _begin(self, labels: Labels, time_s: float | None, *, cut: bool) -> Step:
        """Take the network's labels as they are."""
        self._counter.start(labels)
        self._clock.saw(time_s)
        return Step(self._counter.labels, True, cut, 0.0, self._clock.age_ms)


class Stabilizer(StreamMemory):
    """Follows labels from frame to frame; one per stream, for one thread.

        stabilizer = Stabilizer(keyframe=2)
        for frame in frames:
            step = stabilizer.step(frame.image, lambda image: segmenter.segment(image).labels)

    It keeps two planes of bytes (labels and counts) and one gray image between frames, two within.

    Args:
        hold_ms: How long a label is held against the network, in milliseconds, above 0; None: the
            network is always right.
        keyframe: The network sees every `keyframe`-th frame, and any frame after a cut.
        flow: How frames move: a name that `open_flow` takes, or a source of motion.

    Raises:
        UsageError: An argument is out of range, or there is no such flow.
        MissingDependencyError: OpenCV is not installed, and the flow needs it.
    """

    def __init__(
        self,
        *,
        hold_ms: float | None = HOLD_MS,
        keyframe: int = 1,
        flow: str | FlowSource = DEFAULT_FLOW,
    ) -> None:
        self._every = check_keyframe(keyframe)
        super().__init__(StreamClock(hold_ms, keyframe), flow)
        self._since = 0

    def step(self, frame: Frame, segment: Segment, *, time_s: float | None = None) -> Step:
        """Take the next frame, and return what to show for it.

        Args:
            frame: uint8 [H, W, 3], RGB; another size than before starts anew.
            segment: Returns the network's labels of a frame; called for key frames only.
            time_s: When it was taken, in seconds of any clock that does not go back.

        Raises:
            InputError: Time goes back, or the motion does not fit the frame.
        """
        sources, cut = self._advance(frame, time_s)
        if sources is None:
            step = self._begin(segment(frame), time_s, cut=cut)
            self._since = 0
            return step
        self._counter.follow(sources)
        self._since += 1
        key = self._since >= self._every
        held = self._answer(segment(frame), sources, time_s) if key else 0.0
        return Step(self._counter.labels, key, False, held, self._clock.age_ms)

    def forget(self) -> None:
        """Take the next frame as the first of a new stream; its time may be anything."""
        self._flow.forget()
        self._clock = self._clock.restarted()

    def _answer(self, labels: Labels, sources: Following, time_s: float | None) -> float:
        self._clock.saw(time_s)
        self._since = 0
        return self._counter.count(labels, self._clock.cap, sources)
