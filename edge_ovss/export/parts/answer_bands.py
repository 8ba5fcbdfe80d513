"""From scores or masks on a grid to labels at the frame's size, one band of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_ovss.bundle.sections import GPU
from edge_ovss.export.parts.sampling import fitted_size, spread_matrix

# At the frame size of a 12-megapixel camera, the scores of all categories do not fit in memory, but
# those of one of so many bands do. The heights of cameras are multiples of it.
BANDS = 40
# ONNX Runtime joins at most 32 tensors in a CUDA graph, and a GPU is slow at many small ones.
_GPU_BANDS = 20
_COLORS = 3
_FLOAT = 4


@dataclass(frozen=True)
class BandedAnswer:
    """The best category of every pixel of the frame.

    Attributes:
        index: int64 [H, W], the best category.
        best: float32 [H, W], its score.
        scores: float32 [T, H, W], or empty if they are not kept.
    """

    index: Tensor
    best: Tensor
    scores: Tensor


def bands_for(made_for: str) -> int:
    """Return how many bands a graph has that is made for a device."""
    return _GPU_BANDS if made_for == GPU else BANDS


class AnswerBands(nn.Module):
    """Resizes planes on a grid over the padded image to the frame, and finds the best category.

    Args:
        size: (height, width) inside the network.
        scores: Whether to keep the scores of all categories.
        bands: How many, one after the other.
    """

    def __init__(self, *, size: tuple[int, int], scores: bool, bands: int = BANDS) -> None:
        super().__init__()
        self.bands = bands
        self.size = size
        self.scores = scores

    def answer(
        self,
        planes: Tensor,
        *,
        height: int,
        width: int,
        finish: Callable[[Tensor], Tensor] | None = None,
    ) -> BandedAnswer:
        """Find the best category of every pixel.

        Args:
            planes: float32 [N, h, w] on a grid over the padded image.
            height: Height of the frame.
            width: Width of the frame.
            finish: From the resized planes of a band, float32 [band, N, W], to the scores of all
                categories, [band, T, W]; None where the planes are the scores.
        """
        count = self.bands
        band = (height + count - 1) // count
        rows, wide = self._spread(planes, height=height, width=width, count=count * band)
        shape = (band, planes.shape[0], width)
        bands: list[Tensor] = []
        for part in rows.view(count, band, -1).unbind(0):
            values = (part @ wide).view(shape)
            bands.append(values if finish is None else finish(values))
        best = [best_of(values) for values in bands]
        top = _join([value for value, _ in best], height)
        index = _join([place for _, place in best], height)
        scores = _join(bands, height).transpose(0, 1) if self.scores else planes.new_empty(0)
        return BandedAnswer(index[:, 0], top[:, 0], scores)

    @staticmethod
    def pixel_bytes(*, planes: int, categories: int, bands: int = BANDS) -> int:
        """Memory in bytes that one pixel of a frame takes at the peak, without kept scores."""
        # In a band: planes before and after `finish` reads them, scores and what reads them.
        band = 2 * (planes + categories) / bands
        # The frame is there as floats twice: before and after a step of its normalization.
        return round(_FLOAT * (2 * _COLORS + band))

    def _spread(
        self, planes: Tensor, *, height: int, width: int, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return a matrix [count, h], and the planes [h, N·width] that it is multiplied with."""
        fitted_height, fitted_width = fitted_size(height, width, size=self.size)
        rows = spread_matrix(
            count,
            wanted=height,
            fitted=fitted_height,
            grid=planes.shape[1],
            padded=self.size[0],
        )
        columns = spread_matrix(
            width, wanted=width, fitted=fitted_width, grid=planes.shape[2], padded=self.size[1]
        )
        return rows, (planes.transpose(0, 1) @ columns.t()).flatten(1)


def best_of(values: Tensor, *, dim: int = 1) -> tuple[Tensor, Tensor]:
    """Return the highest along `dim` and its place; that side becomes 1.

    Of equal scores the first is taken.
    """
    if torch.compiler.is_exporting():
        # As a TopK: ONNX Runtime is several times faster at it than at an ArgMax over an inner
        # axis, and takes the first of equals too. Torch's own topk promises nothing about equals.
        highest = values.topk(1, dim=dim)
        return highest.values, highest.indices
    first = values.max(dim, keepdim=True)
    return first.values, first.indices


def _join(bands: list[Tensor], height: int) -> Tensor:
    """Join bands [band, N, W] one below the other and cut them to the frame: [height, N, W]."""
    return torch.cat(bands).index_select(0, torch.arange(height))
