"""The result for one frame, and the check of frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.errors import PictureError

if TYPE_CHECKING:  # a robot gives its own frames and needs no image reader
    from edge_ovss.frames.images import Labels


@dataclass(frozen=True)
class StreamFacts:
    """What the memory of a stream did for a frame.

    Attributes:
        key: Whether an answer of the network came in with this frame.
        age_ms: Milliseconds from the newest frame that the network saw to this one; None where
            frames have no time.
        held: Share of pixels that keep a label against the network, 0 to 1.
        cut: Whether the frame has nothing in common with the one before.
    """

    key: bool
    age_ms: float | None
    held: float
    cut: bool


@dataclass(frozen=True)
class Result:
    """The result for one frame; the arrays belong to the caller.

    Attributes:
        labels: uint8 or, above 255 outputs, uint16 [H, W]: index into `names` by pixel; 255, or
            65535, where the label is unknown.
        names: The K output names, in the order of the vocabulary.
        alive: int32 [n], ids of the categories that survive all rejections, without empty slots.
        counts: int32 [3], number of categories that passed the threshold at each rejection.
        slots: Number of slots at each rejection; None if there is no limit.
        reran: Whether this comes from the bundle's spare graph, because the first overflowed.
        timings: Milliseconds of "pre", "infer", "post" and "total"; with TensorRT also "device",
            the part of "infer" on the GPU by its own clock, including copies. For a frame that
            ran twice, both runs are counted.
        scores: float32 [T, h, w] by category before the last upsampling, if exported.
        confidence: float32 [H, W], score of the chosen category in [0, 1], if exported.
        stream: What the memory of a stream did, if the frame is one of a stream.
        palette: Colors of the outputs, uint8 [K, 3], RGB, read-only: words and with them colors may
            change between two frames. None where who made the result knows none.
    """

    labels: Labels
    names: tuple[str, ...]
    alive: NDArray[np.int32]
    counts: NDArray[np.int32]
    slots: tuple[int, ...] | None
    timings: Mapping[str, float]
    scores: NDArray[np.float32] | None = None
    confidence: NDArray[np.float32] | None = None
    reran: bool = False
    stream: StreamFacts | None = None
    palette: NDArray[np.uint8] | None = None

    @property
    def overflow(self) -> bool:
        """Whether more categories passed the threshold than there were slots, at any rejection."""
        if self.slots is None:
            return False
        pairs = zip(self.counts.tolist(), self.slots, strict=False)
        return any(count > slot for count, slot in pairs)

    @property
    def unknown(self) -> float:
        """The share of pixels whose label is unknown, 0 to 1."""
        if not self.labels.size:
            return 0.0
        label = UNKNOWN[str(self.labels.dtype)]
        return float(np.count_nonzero(self.labels == label) / self.labels.size)

    def colors(self, otherwise: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the colors of the outputs; `otherwise`, uint8 [K, 3], where it has none."""
        return otherwise if self.palette is None else self.palette

    def pixels(self) -> NDArray[np.int64]:
        """Return the number of pixels by output, int64 [K]; those that are unknown are in none."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        return counts[: len(self.names)].astype(np.int64)

    def shares(self) -> dict[str, float]:
        """Return the share of pixels in (0, 1] by output name, the largest first.

        Where some pixels are unknown, the shares add up to less than 1.
        """
        pixels = self.pixels()
        order = np.argsort(-pixels, kind="stable")
        total = self.labels.size
        return {self.names[i]: float(pixels[i] / total) for i in order.tolist() if pixels[i]}


def check_frame(frame: object) -> NDArray[np.uint8]:
    """Return `frame` in the form that backends need: uint8 [H, W, 3], C-contiguous.

    Raises:
        PictureError: It is not an array, has a different dtype or shape, or no pixels.
    """
    if not isinstance(frame, np.ndarray):
        given = type(frame).__name__
        message = f"Frame is of type '{given}'; expected a numpy array, uint8 [H, W, 3]."
        raise PictureError(
            message,
            hint="Use edge_ovss.frames.images.read_picture, or numpy.asarray.",
        )
    array: NDArray[Any] = frame
    if array.dtype != np.uint8:
        message = f"Frame has dtype '{array.dtype}'; expected 'uint8' with values 0 to 255."
        raise PictureError(
            message,
            hint="Give the camera's bytes; normalization is inside the graph.",
        )
    if array.ndim != 3 or array.shape[2] != 3:
        message = f"Frame has shape {array.shape}; expected [H, W, 3] in RGB order."
        raise PictureError(message, hint=_fix(array))
    if array.size == 0:
        message = f"Frame has shape {array.shape}; expected at least one pixel."
        raise PictureError(
            message,
            hint="Check the camera or the crop.",
        )
    return np.ascontiguousarray(array)


def _fix(array: NDArray[Any]) -> str:
    if array.ndim == 2:
        return "A gray frame: call numpy.repeat(frame[:, :, None], 3, axis=2)."
    if array.ndim == 3 and array.shape[2] == 4:
        return "Drop the alpha channel: frame[:, :, :3]."
    if array.ndim == 3 and array.shape[0] == 3:
        return "Channels come last: frame.transpose(1, 2, 0)."
    if array.ndim == 4:
        return "One frame at a time: frames[0]."
    return "Give one frame, height x width x 3."
