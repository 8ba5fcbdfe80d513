"""From masks on a grid to labels at the frame's size, where two resizes do not become one.

Some networks resize masks to the image, take their sigmoid, add them up, and resize the result to
the frame. A nonlinear function between two resizes keeps them from being one product, and whole
masks at the image's size would be the largest tensors of the graph. So the frame is cut into tiles:
40 bands of rows, each in 8 parts of its columns. A tile reads a window of the image whose size is
fixed, whatever the frame, and only windows are ever resized: the products are of small matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_ovss.export.parts.answer_bands import BANDS, BandedAnswer, best_of
from edge_ovss.export.parts.sampling import (
    cell_window,
    fitted_size,
    hat_weights,
    window_places,
)

# Parts of the columns. More make the windows' products cheaper and the pixels that two windows
# share more.
PARTS = 8

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Axis:
    """Where the parts of one axis of the frame read the image, and the image the grid.

    Attributes:
        frame: float32 [parts, length], places of the frame's pixels on the image.
        window: float32 [parts, window], pixels of the image that a part reads.
        image: float32 [parts, window], places of these on the grid.
    """

    frame: Tensor
    window: Tensor
    image: Tensor


class AnswerTiles(nn.Module):
    """Resizes planes to the image, changes them, resizes that to the frame, finds the best.

    Args:
        size: (height, width) of the padded image.
        grid: (height, width) of the planes, which lie over it.
        scores: Whether to keep the scores of all categories.
        bands: How many, one after the other.
    """

    def __init__(
        self, *, size: tuple[int, int], grid: tuple[int, int], scores: bool, bands: int = BANDS
    ) -> None:
        super().__init__()
        self.bands = bands
        self.size = size
        self.grid = grid
        self.scores = scores

    def answer(
        self, planes: Tensor, *, height: int, width: int, between: Step, finish: Step
    ) -> BandedAnswer:
        """Find the best category of every pixel.

        Args:
            planes: float32 [N, h, w] on the grid.
            height: Height of the frame.
            width: Width of the frame.
            between: What happens at the image's size: float32 [..., N, any] → [..., M, any].
            finish: What happens at the frame's size: float32 [..., M, any] → [..., T, any].
        """
        fitted = fitted_size(height, width, size=self.size)
        down, across = (
            _axis(parts, wanted=wanted, fitted=inside, padded=padded, cells=cells)
            for parts, wanted, inside, padded, cells in zip(
                (self.bands, PARTS), (height, width), fitted, self.size, self.grid, strict=True
            )
        )
        wide = self._widen(planes, across)
        # Made in the order of the product: a Transpose before it makes ONNX Runtime slower.
        spread = hat_weights(across.frame.unsqueeze(1), across.window.unsqueeze(2))
        cells = cell_window(down.image, step=self.grid[0] / self.size[0], cells=self.grid[0])
        grids = hat_weights(down.image.unsqueeze(2), cells.unsqueeze(1))
        rows = hat_weights(down.frame.unsqueeze(2), down.window.unsqueeze(1))
        bands: list[Tensor] = []
        for which, grid, weights in zip(
            cells.to(torch.int64).unbind(0), grids.unbind(0), rows.unbind(0), strict=True
        ):
            high = grid @ wide.index_select(1, which)
            values = between(high.view(PARTS, grid.shape[0], planes.shape[0], -1))
            bands.append(finish(_shrink(values, weights, spread)))
        best = [best_of(values, dim=2) for values in bands]
        return BandedAnswer(
            index=_join([place for _, place in best], height, width)[:, 0],
            best=_join([value for value, _ in best], height, width)[:, 0],
            scores=_join(bands, height, width).transpose(0, 1)
            if self.scores
            else planes.new_empty(0),
        )

    def _widen(self, planes: Tensor, across: _Axis) -> Tensor:
        """Resize columns to those of the windows: float32 [parts, h, N·window]."""
        cell = torch.arange(self.grid[1], dtype=torch.float32)
        columns = hat_weights(across.image.unsqueeze(1), cell.view(1, -1, 1))
        wide = planes.transpose(0, 1).flatten(0, 1) @ columns
        return wide.view(PARTS, self.grid[0], -1)


def _axis(parts: int, *, wanted: int, fitted: int, padded: int, cells: int) -> _Axis:
    """Cut one axis of the frame into parts."""
    length = (wanted + parts - 1) // parts
    frame, window = window_places(parts, length, wanted=wanted, fitted=fitted, padded=padded)
    image = ((window + 0.5) * (cells / padded) - 0.5).clamp(0, cells - 1)
    return _Axis(frame, window, image)


def _shrink(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Resize windows of the image to tiles of the frame.

    Args:
        values: float32 [parts, window, M, window].
        rows: float32 [length, window].
        columns: float32 [parts, window, length].

    Returns:
        float32 [parts, length, M, length].
    """
    parts, _, count, window = values.shape
    tall = rows @ values.flatten(2)
    tiles = tall.view(parts, -1, window) @ columns
    return tiles.view(parts, rows.shape[0], count, -1)


def _join(bands: list[Tensor], height: int, width: int) -> Tensor:
    """Join bands [parts, length, N, length] and cut them to the frame: [height, N, width]."""
    whole = torch.cat(bands, dim=1).permute(1, 2, 0, 3).flatten(2)
    rows = whole.index_select(0, torch.arange(height))
    return rows.index_select(2, torch.arange(width))
