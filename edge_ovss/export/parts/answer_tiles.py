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
from edge_ovss.export.parts.sampling import bilinear_matrix, fitted_size, window_matrices

# Parts of the columns. More make the windows' products cheaper and the pixels that two windows
# share more.
PARTS = 8

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Windows:
    """Where the parts of one axis of the frame read the image, and with which weights.

    Attributes:
        grid: float32 [parts, window, grid], from the grid to the image's pixels in a window.
        weights: float32 [parts, length, window], from these to the frame's pixels of a part.
    """

    grid: Tensor
    weights: Tensor


class AnswerTiles(nn.Module):
    """Resizes planes to the image, changes them, resizes that to the frame, finds the best.

    Args:
        size: (height, width) of the padded image.
        grid: (height, width) of the planes, which lie over it.
        scores: Whether to keep the scores of all categories.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, *, size: tuple[int, int], grid: tuple[int, int], scores: bool) -> None:
        super().__init__()
        self.size = size
        self.scores = scores
        for name, side, cells in zip(("rows", "columns"), size, grid, strict=True):
            matrix = bilinear_matrix(side, source=cells, step=cells / side)
            self.register_buffer(name, matrix)

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
        down = _windows(self.rows, parts=BANDS, wanted=height, fitted=fitted[0])
        across = _windows(self.columns, parts=PARTS, wanted=width, fitted=fitted[1])
        wide = planes.transpose(0, 1).unsqueeze(1) @ across.grid.transpose(1, 2)
        shape = (down.grid.shape[1], *wide.shape[1:])
        wide = wide.flatten(1)
        spread = across.weights.transpose(1, 2)
        bands: list[Tensor] = []
        for grid, weights in zip(down.grid.unbind(0), down.weights.unbind(0), strict=True):
            values = between((grid @ wide).view(shape)) @ spread
            tiles = (weights @ values.flatten(1)).view(-1, *values.shape[1:])
            bands.append(finish(tiles))
        best = [best_of(values, dim=2) for values in bands]
        return BandedAnswer(
            index=_join([place for _, place in best], height, width)[:, 0],
            best=_join([value for value, _ in best], height, width)[:, 0],
            scores=_join(bands, height, width).transpose(0, 1)
            if self.scores
            else planes.new_empty(0),
        )


def _windows(matrix: Tensor, *, parts: int, wanted: int, fitted: int) -> _Windows:
    """Cut one axis of the frame into parts; `matrix` is float32 [pixels of the image, grid]."""
    length = (wanted + parts - 1) // parts
    index, weights = window_matrices(
        parts, length, wanted=wanted, fitted=fitted, padded=matrix.shape[0]
    )
    grid = matrix.index_select(0, index.flatten()).view(*index.shape, -1)
    return _Windows(grid, weights)


def _join(bands: list[Tensor], height: int, width: int) -> Tensor:
    """Join bands [band, parts, N, length] and cut them to the frame: [height, N, width]."""
    whole = torch.cat(bands).transpose(1, 2).flatten(2)
    rows = whole.index_select(0, torch.arange(height))
    return rows.index_select(2, torch.arange(width))
