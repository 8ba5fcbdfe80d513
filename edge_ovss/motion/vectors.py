"""Motion between two frames in whole numbers, so that every runtime follows it to the same pixel.

The rule is the same in the C++ library. All divisions and shifts round down.

- Vectors stand on a grid of h x w cells over the frame of H x W pixels, in 1/32 pixel of the frame.
- Row y lies at p = ((2 y + 1) 256 h // (2 H)) - 128 of the grid, kept within 0 … 256 (h - 1);
  with i = p >> 8 and a = p & 255 it mixes the rows i and i + 1 as 256 - a to a. Columns likewise,
  and the sum of the four products is v = (sum + 32768) >> 16.
- Pixel (y, x) was at column x + ((v_x + 16) >> 5) and row y + ((v_y + 16) >> 5).
- It can be trusted if that is inside the frame and cell (y h // H, x w // W) is valid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_ovss.errors import InputError

if TYPE_CHECKING:
    from edge_ovss.motion.following import Following

STEPS = 32
"""Steps of a vector per pixel, as in the S10.5 numbers of optical flow hardware."""
_SIDES = 32768

Labels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Sources:
    """The pixel of the frame before that each pixel comes from.

    Attributes:
        index: int32 [H, W], row * W + column in the frame before; the own place where that is
            outside.
        trusted: bool [H, W], whether it is inside and the vector is valid.
    """

    index: NDArray[np.int32]
    trusted: NDArray[np.bool_]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frame."""
        height, width = self.trusted.shape
        return height, width

    def labels(self, plane: Labels) -> Labels:
        """Return labels [H, W] of the frame before where they are now; what is lost stays."""
        moved: Labels = plane.ravel().take(self.index)
        return moved

    def counts(self, plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return counts, uint8 [H, W], of the frame before where they are now; 0 where lost."""
        moved: NDArray[np.uint8] = plane.ravel().take(self.index)
        moved *= self.trusted
        return moved

    def both(self, labels: Labels, counts: NDArray[np.uint8]) -> tuple[Labels, NDArray[np.uint8]]:
        """Return what `labels` and `counts` do."""
        return self.labels(labels), self.counts(counts)

    def plain(self) -> Sources:
        """Return these."""
        return self

    def is_far(self, at: NDArray[np.intp], pixels: int) -> NDArray[np.bool_]:
        """Which of some pixels moved at least so far along an axis.

        Args:
            at: The pixels, row * W + column, [N].
            pixels: Whole pixels.
        """
        width = self.size[1]
        from_row, from_col = np.divmod(self.index.ravel()[at], width)
        row, col = np.divmod(at, width)
        far: NDArray[np.bool_] = np.abs(from_row - row) >= pixels
        far |= np.abs(from_col - col) >= pixels
        return far

    def then(self, later: Following) -> Sources:
        """Return where the pixels of a later frame were, one frame farther back.

        Args:
            later: Where they were in the frame that these sources are those of.
        """
        later = later.plain()
        index: NDArray[np.int32] = self.index.ravel().take(later.index)
        trusted: NDArray[np.bool_] = self.trusted.ravel().take(later.index)
        return Sources(index, trusted & later.trusted)

    @property
    def lost(self) -> float:
        """The share of pixels that cannot be trusted, 0 to 1."""
        return 1.0 - int(np.count_nonzero(self.trusted)) / self.trusted.size


@dataclass(frozen=True)
class Motion:
    """Vectors from every pixel of a frame to where it was in the frame before.

    Attributes:
        vectors: int16 [h, w, 2], (x, y) in 1/32 pixel of the frame, on any grid of at most its
            size.
        valid: uint8 or bool [h, w], 0 where the vector means nothing.

    Raises:
        InputError: The arrays have a different type, or sizes that do not belong together.
    """

    vectors: NDArray[np.int16]
    valid: NDArray[np.uint8] | NDArray[np.bool_]

    def __post_init__(self) -> None:
        vectors, valid = self.vectors, self.valid
        if vectors.dtype != np.int16 or vectors.ndim != 3 or vectors.shape[2] != 2:
            message = (
                f"Motion has vectors {vectors.dtype} {list(vectors.shape)}; expected int16 "
                "[h, w, 2] in 1/32 pixel."
            )
            raise InputError(message)
        if valid.dtype not in (np.uint8, np.bool_) or valid.shape != vectors.shape[:2]:
            message = (
                f"Motion has a validity of {valid.dtype} {list(valid.shape)}; expected uint8 "
                f"{list(vectors.shape[:2])}, one for each vector."
            )
            raise InputError(message)
        if not valid.size:
            message = "Motion has no vector; expected at least one."
            raise InputError(message)

    @classmethod
    def still(cls) -> Motion:
        """Return the motion of a frame in which nothing moves; it fits every size."""
        return cls(np.zeros((1, 1, 2), np.int16), np.ones((1, 1), np.uint8))

    @classmethod
    def of_pixels(cls, flow: NDArray[np.floating], valid: NDArray[np.bool_]) -> Motion:
        """Return the motion for vectors in pixels of the frame, floating point [h, w, 2].

        What is not finite is not valid; what is longer than 1,023 pixels is cut to that.
        """
        finite = np.isfinite(flow).all(2)
        steps = np.rint(np.where(finite[..., None], flow, 0) * np.float32(STEPS))
        vectors = np.clip(steps, -_SIDES, _SIDES - 1).astype(np.int16)
        return cls(vectors, (valid & finite).astype(np.uint8))

    def sources(self, height: int, width: int) -> Sources:
        """Return where the pixels of a frame of `height` x `width` come from.

        Raises:
            InputError: The grid has more rows or columns than the frame.
        """
        rows, cols = self.valid.shape
        if rows > height or cols > width:
            message = (
                f"The motion has {rows}x{cols} vectors for a frame of {height}x{width} pixels; "
                "expected at most one for each pixel."
            )
            raise InputError(message, hint="Give the vectors of this frame.")
        vectors = self.vectors
        valid = self.valid.astype(np.bool_, copy=False)
        if (rows, cols) != (height, width):
            vectors = _enlarged(vectors, height, width)
            down = np.arange(height) * rows // height
            valid = valid[down][:, np.arange(width) * cols // width]
        return _follow(vectors, valid)


def _follow(vectors: NDArray[np.int16], valid: NDArray[np.bool_]) -> Sources:
    height, width = valid.shape
    own, rows, cols = _places(height, width)
    right, down = (whole_pixels(vectors[..., axis]).astype(np.int32) for axis in (0, 1))
    # A negative number is above every side when it is read without its sign.
    inside = (cols + right).view(np.uint32) < width
    inside &= (rows + down).view(np.uint32) < height
    index = down * np.int32(width)
    index += right
    index += own
    if not inside.all():
        np.copyto(index, own, where=~inside)
    return Sources(index, inside & valid)


def whole_pixels(steps: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return (steps + 16) >> 5, where 16 more would not fit."""
    pixels: NDArray[np.int16] = steps >> 4
    pixels += 1
    pixels >>= 1
    return pixels


@lru_cache(maxsize=2)
def _places(
    height: int, width: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return flat index, row and column of every pixel, int32 [H, W], [H, 1] and [1, W]."""
    rows = np.arange(height, dtype=np.int32)[:, None]
    cols = np.arange(width, dtype=np.int32)[None, :]
    return rows * np.int32(width) + cols, rows, cols


def _enlarged(vectors: NDArray[np.int16], height: int, width: int) -> NDArray[np.int16]:
    """Return vectors for every pixel, bilinear in whole numbers; int16 [H, W, 2]."""
    first, second, part = _between(vectors.shape[0], height)
    tall = vectors.astype(np.int32)
    part = part[:, None, None]
    tall = tall[first] * (256 - part) + tall[second] * part
    first, second, part = _between(vectors.shape[1], width)
    part = part[None, :, None]
    both = tall[:, first] * (256 - part) + tall[:, second] * part
    return ((both + 32768) >> 16).astype(np.int16)


def _between(
    cells: int, pixels: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Return the two cells that every pixel lies between, and the weight of the second of 256."""
    centers = (2 * np.arange(pixels, dtype=np.int64) + 1) * 256 * cells // (2 * pixels) - 128
    at = np.clip(centers, 0, 256 * (cells - 1))
    first = at >> 8
    return first, np.minimum(first + 1, cells - 1), (at & 255).astype(np.int32)
