"""Draw overlays of one size for views that cannot change theirs: a window, a video."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.live.sinks import LiveFrame
from edge_ovss.runtime.legend import PAPER, LegendEntry, draw_legend
from edge_ovss.runtime.overlay import ALPHA, ENTRIES, draw_overlay


class Painter:
    """Draws each frame once, however many views show it.

    The picture has room for the longest legend. A legend with fewer lines leaves paper free, and a
    frame of another size is scaled into the picture of the first one.

    Args:
        names: The K output names.
        palette: uint8 [K, 3], RGB, for results without colors of their own.
        alpha: Weight of the colors, 0 to 1; may be changed between frames.
        apart: Whether each source has a size of its own; else all have that of the first frame.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        palette: NDArray[np.uint8],
        alpha: float = ALPHA,
        *,
        apart: bool = True,
    ) -> None:
        self.alpha, self.apart = alpha, apart
        self._names, self._palette = names, palette
        self._sizes: dict[str, tuple[int, int]] = {}
        self._last: tuple[LiveFrame, NDArray[np.uint8]] | None = None

    def paint(self, frame: LiveFrame) -> NDArray[np.uint8]:
        """Return the overlay with its legend, uint8 [h, w, 3] RGB; of one size by place.

        Height and width are even, as video formats need them.
        """
        if self._last is None or self._last[0] is not frame:
            colors = frame.result.colors(self._palette)
            picture = draw_overlay(frame.frame, frame.result, colors, alpha=self.alpha)
            place = self.place(frame)
            if place not in self._sizes:
                self._sizes[place] = self._size(frame, picture)
            self._last = frame, _fitted(picture, self._sizes[place])
        return self._last[1]

    def place(self, frame: LiveFrame) -> str:
        """Return what has a size of its own: the source, or "" for all together."""
        return frame.source if self.apart else ""

    def _size(self, frame: LiveFrame, picture: NDArray[np.uint8]) -> tuple[int, int]:
        """Return height and width with room for every legend of this frame size."""
        height, width = frame.frame.shape[:2]
        longest = sorted(self._names, key=len, reverse=True)[: ENTRIES + 1]
        lines = [LegendEntry(name, (0, 0, 0), 1.0) for name in longest]
        legend = draw_legend(lines, height=height, width=width)
        if width >= height:
            whole = height + legend.shape[0], max(width, legend.shape[1])
        else:
            whole = max(height, legend.shape[0]), width + legend.shape[1]
        most = max(whole[0], picture.shape[0]), max(whole[1], picture.shape[1])
        return most[0] + most[0] % 2, most[1] + most[1] % 2


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the picture on paper of (height, width), made smaller if it does not fit."""
    shrink = min(1.0, size[0] / picture.shape[0], size[1] / picture.shape[1])
    if shrink < 1.0:
        cv2 = require("cv2", extra="onnxruntime")
        inner = [max(1, int(side * shrink)) for side in picture.shape[:2]]
        picture = cv2.resize(picture, (inner[1], inner[0]), interpolation=cv2.INTER_AREA)
    canvas = np.full((*size, 3), PAPER, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas
