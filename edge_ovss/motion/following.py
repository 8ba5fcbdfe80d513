"""Planes that go along with the motion: in numpy, or faster with OpenCV; the bytes are the same."""

from __future__ import annotations

import importlib
from functools import lru_cache
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import is_installed
from edge_ovss.motion.vectors import STEPS, Labels, Motion, Sources, whole_pixels

# Beyond this, column and vector together do not fit into 16 bits.
_WIDEST = 31_000


class Following(Protocol):
    """What `following` returns; `Sources` says what its methods mean."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""

    @property
    def lost(self) -> float:
        """The share of pixels that cannot be trusted, 0 to 1."""

    def labels(self, plane: Labels) -> Labels:
        """Return labels of the frame before where they are now."""

    def counts(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return counts of the frame before where they are now."""

    def both(self, labels: Labels, counts: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.uint8]]:
        """Return what `labels` and `counts` do."""

    def is_far(self, at: NDArray[np.intp], pixels: int) -> NDArray[np.bool_]:
        """Which of some pixels that can be trusted moved at least so far along an axis."""

    def then(self, later: Following) -> Following:
        """Return where the pixels of a later frame were, one frame farther back."""

    def plain(self) -> Sources:
        """Return the same as indices."""


def following(motion: Motion, height: int, width: int) -> Following:
    """Return where the pixels of a frame of `height` x `width` come from, the fastest way.

    Raises:
        InputError: The motion has more vectors than the frame has pixels.
    """
    cv2 = _opencv()
    if cv2 is None or motion.valid.shape != (height, width) or max(height, width) > _WIDEST:
        return motion.sources(height, width)
    return _Mapped(cv2, motion)


@lru_cache(maxsize=1)
def _opencv() -> ModuleType | None:
    """Return OpenCV if it is there; a stream without flow does not need it."""
    try:
        return importlib.import_module("cv2") if is_installed("cv2") else None
    except Exception:  # a broken installation may raise anything, and numpy does the same
        return None


class _Mapped:
    """Motion with one vector for each pixel, followed by OpenCV's remap."""

    def __init__(self, cv2: ModuleType, motion: Motion) -> None:
        self._cv2, self._motion = cv2, motion
        at = whole_pixels(motion.vectors)
        at += _places(*self.size)
        self._at = at
        height, width = self.size
        inside = cv2.inRange(at, (0, 0), (width - 1, height - 1))
        inside &= motion.valid != 0
        self._trusted = inside

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""
        height, width = self._motion.valid.shape
        return height, width

    @property
    def lost(self) -> float:
        """The share of pixels that cannot be trusted, 0 to 1."""
        return 1.0 - int(np.count_nonzero(self._trusted)) / int(self._trusted.size)

    def labels(self, plane: Labels) -> Labels:
        """Return labels of the frame before where they are now."""
        return self._pull(plane)

    def counts(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return counts of the frame before where they are now."""
        moved: NDArray[np.uint8] = self._pull(plane).astype(np.uint8, copy=False)
        moved *= self._trusted
        return moved

    def both(self, labels: Labels, counts: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.uint8]]:
        """Return what `labels` and `counts` do."""
        if labels.dtype != np.uint8:
            return self.labels(labels), self.counts(counts)
        # A byte of each as one number of 16 bits: followed in half the time.
        pairs = self._cv2.merge([labels, counts])
        moved = self._pull(pairs.view(np.uint16)[..., 0])
        there, count = self._cv2.split(moved[..., None].view(np.uint8))
        count *= self._trusted
        return there, count

    def is_far(self, at: NDArray[np.intp], pixels: int) -> NDArray[np.bool_]:
        """Which of some pixels that can be trusted moved at least so far along an axis."""
        # Both numbers of a vector as one are taken in a third of the time.
        steps = self._motion.vectors.view(np.int32).ravel()[at].view(np.int16)
        least, half = STEPS * pixels, STEPS // 2
        far = (steps >= least - half) | (steps < half - least)
        either: NDArray[np.bool_] = far[0::2] | far[1::2]
        return either

    def then(self, later: Following) -> Following:
        """Return where the pixels of a later frame were, one frame farther back."""
        return self.plain().then(later.plain())

    def plain(self) -> Sources:
        """Return the same as indices."""
        return self._motion.sources(*self.size)

    def _pull(self, plane: Labels) -> Labels:
        """Return what was where each pixel comes from; what comes from outside stays."""
        cv2 = self._cv2
        moved: Labels = cv2.remap(
            plane,
            self._at,
            None,
            cv2.INTER_NEAREST,
            dst=plane.copy(),
            borderMode=cv2.BORDER_TRANSPARENT,
        )
        return moved


@lru_cache(maxsize=2)
def _places(height: int, width: int) -> NDArray[np.int16]:
    """Column and row of every pixel, int16 [H, W, 2]."""
    places = np.empty((height, width, 2), np.int16)
    places[..., 0] = np.arange(width, dtype=np.int16)
    places[..., 1] = np.arange(height, dtype=np.int16)[:, None]
    return places
