"""Motion by OpenCV's dense inverse search (DIS), with a check of where it can be trusted.

Flow is computed forward and backward on gray images of at most 240 columns. Where the two do not
undo each other, or where the image looks different, the vector is not valid. The presets were
measured on CamVid (docs/video.md): the flow backward only serves the check, and may be rougher.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.errors import UsageError
from edge_ovss.motion.stored import SUFFIX, StoredFlow, is_stored
from edge_ovss.motion.vectors import STEPS, Motion

Gray = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Search:
    """Settings of one dense inverse search, as OpenCV names them."""

    iterations: int
    refinements: int
    stride: int


@dataclass(frozen=True)
class Preset:
    """How much work goes into the motion.

    Attributes:
        columns: Most columns of the gray images.
        finest: Scale at which the search ends: 1 is half, 2 a quarter of the gray image.
        forward: Search for the vectors.
        backward: Search for the check.
        share: How far both may differ, squared, as a share of their squared lengths.
        slack: The same in pixels of the gray image, squared.
        checked: Every how many rows and columns of the gray image are checked.
        apart: Gray levels that a pixel and where it comes from may differ by, both blurred a
            little; 0: not checked.
    """

    columns: int
    finest: int
    forward: Search
    backward: Search
    share: float
    slack: float
    checked: int
    apart: int = 0


PRESETS = {
    "dis": Preset(240, 1, Search(8, 1, 4), Search(6, 0, 5), 0.05, 0.5, 2, 20),
    "dis:ultrafast": Preset(240, 2, Search(12, 0, 4), Search(12, 0, 4), 0.05, 0.5, 4, 20),
    "dis:medium": Preset(480, 1, Search(25, 5, 3), Search(25, 5, 3), 0.01, 0.5, 1),
}
DEFAULT_FLOW = "dis"
NO_FLOW = "none"
_PATCH = 8
_SMALLEST = 64
"""Shorter sides are not reduced, but made longer for the search, which crashes on small images."""


class FlowSource(Protocol):
    """Says how the frames of a stream move; it gets every frame, in order."""

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        """Return the motion from this frame, uint8 [H, W, 3], to the one before.

        None where there is none before, or where that had another size.
        """

    def forget(self) -> None:
        """Take the next frame as the first."""


def open_flow(name: str) -> FlowSource:
    """Return a source of motion.

    Args:
        name: One of `PRESETS`; "none": nothing moves; or a file, as `motion.stored` describes it.

    Raises:
        UsageError: There is no such flow.
        InputError: The file cannot be used.
        MissingDependencyError: OpenCV is not installed.
    """
    check_flow(name)
    if name == NO_FLOW:
        return Still()
    return StoredFlow(name) if is_stored(name) else DisFlow(PRESETS[name])


def check_flow(name: str) -> str:
    """Return the name of a flow, if it is one; files are not opened.

    Raises:
        UsageError: There is no such flow.
    """
    if name not in (*PRESETS, NO_FLOW) and not is_stored(name):
        known = ", ".join([*PRESETS, NO_FLOW])
        message = f"Flow '{name}' is unknown; expected one of: {known}, or FILE{SUFFIX}."
        raise UsageError(message)
    return name


class Still:
    """No flow: everything stays where it is, and no cut is noticed."""

    def __init__(self) -> None:
        self._size = (0, 0)

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        """Return that nothing moved, unless this is the first frame of its size."""
        known, self._size = self._size, (frame.shape[0], frame.shape[1])
        return Motion.still() if known == self._size else None

    def forget(self) -> None:
        """Take the next frame as the first."""
        self._size = (0, 0)


class DisFlow:
    """Dense inverse search between a frame and the one before; keeps one gray image.

    Args:
        preset: How much work goes into it.
    """

    def __init__(self, preset: Preset = PRESETS[DEFAULT_FLOW]) -> None:
        self._cv2 = require("cv2", extra="onnxruntime")
        self._preset = preset
        self._forward = self._search(preset.forward)
        self._backward = self._search(preset.backward)
        self._gray: Gray | None = None
        self._size = (0, 0)

    def _search(self, search: Search) -> Any:  # noqa: ANN401 (DISOpticalFlow)
        dis = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        dis.setFinestScale(self._preset.finest)
        dis.setPatchSize(_PATCH)
        dis.setPatchStride(search.stride)
        dis.setGradientDescentIterations(search.iterations)
        dis.setVariationalRefinementIterations(search.refinements)
        return dis

    def advance(self, frame: NDArray[np.uint8]) -> Motion | None:
        """Return the motion from this frame, uint8 [H, W, 3] RGB, to the one before.

        None where there is none before, or where that had another size.
        """
        size = (frame.shape[0], frame.shape[1])
        before, known = self._gray, self._size
        self._gray, self._size = self._reduced(frame), size
        if before is None or known != size:
            return None
        return self._between(self._gray, before, size)

    def forget(self) -> None:
        """Take the next frame as the first."""
        self._gray = None

    def _reduced(self, frame: NDArray[np.uint8]) -> Gray:
        cv2 = self._cv2
        gray: Gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
        height, width = gray.shape
        share = min(1.0, self._preset.columns / width)
        small = (max(round(height * share), min(height, _SMALLEST)), round(width * share))
        if small != (height, width):
            gray = cv2.resize(gray, small[::-1], interpolation=cv2.INTER_AREA)
        return gray

    def _between(self, gray: Gray, before: Gray, size: tuple[int, int]) -> Motion:
        cv2 = self._cv2
        flow, back = self._searched(gray, before)
        every = self._preset.checked
        checked = np.ascontiguousarray(flow[::every, ::every])
        at = checked + _grid(*checked.shape[:2], every)
        valid = self._agree(checked, back, at)
        if self._preset.apart:
            valid &= self._alike(gray, before, at)
        height, width = size
        steps = [STEPS * width / gray.shape[1], STEPS * height / gray.shape[0]]
        # Rounds, and cuts what is too long for 16 bits.
        flow *= steps[0] if steps[0] == steps[1] else np.asarray(steps, np.float32)
        vectors = cv2.addWeighted(flow, 1.0, flow, 0.0, 0.0, dtype=cv2.CV_16S)
        if gray.shape != size:
            vectors = cv2.resize(vectors, (width, height), interpolation=cv2.INTER_LINEAR)
        if valid.shape != size:
            valid = cv2.resize(valid, (width, height), interpolation=cv2.INTER_NEAREST)
        return Motion(vectors, valid)

    def _searched(self, gray: Gray, before: Gray) -> tuple[Floats, Floats]:
        """Return the flow forward and backward, float32 [h, w, 2] in pixels of the gray image."""
        height, width = gray.shape
        short = [max(_SMALLEST - height, 0), max(_SMALLEST - width, 0)]
        if any(short):
            sides = (0, short[0], 0, short[1], self._cv2.BORDER_REPLICATE)
            gray, before = (self._cv2.copyMakeBorder(one, *sides) for one in (gray, before))
        flow = self._forward.calc(gray, before, None)
        back = self._backward.calc(before, gray, None)
        return flow[:height, :width], back[:height, :width]

    def _agree(self, flow: Floats, back: Floats, at: Floats) -> NDArray[np.uint8]:
        """Where the flow back undoes the flow, uint8, one for each row and column checked.

        Args:
            flow: Where it is checked.
            back: The whole flow back.
            at: Where the pixels that are checked come from.
        """
        cv2, preset = self._cv2, self._preset
        back = cv2.remap(back, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        apart = flow + back
        apart *= apart
        apart -= preset.share * (flow * flow + back * back)
        # Both axes together.
        excess = cv2.transform(apart, np.ones((1, 2), np.float32))
        agree: NDArray[np.uint8] = (excess < preset.slack).view(np.uint8)
        return agree

    def _alike(self, gray: Gray, before: Gray, at: Floats) -> NDArray[np.uint8]:
        """Where a pixel looks like where it comes from, uint8, as `_agree`."""
        cv2, every = self._cv2, self._preset.checked
        soft = [cv2.blur(one, (3, 3)) for one in (gray, before)]
        moved = cv2.remap(soft[1], at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        apart = cv2.absdiff(moved, np.ascontiguousarray(soft[0][::every, ::every]))
        alike: NDArray[np.uint8] = (apart < self._preset.apart).view(np.uint8)
        return alike


@lru_cache(maxsize=4)
def _grid(height: int, width: int, every: int) -> Floats:
    """Column and row of every pixel that is checked, float32 [h, w, 2]."""
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0] = every * np.arange(width, dtype=np.float32)
    grid[..., 1] = every * np.arange(height, dtype=np.float32)[:, None]
    return grid
