"""From SAN's masks and classes to labels at the frame's size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_ovss.export.parts.sampling import fitted_size, spread_matrix

# The frame is answered in this many bands of rows: the scores of all categories at the size of a
# 12-megapixel frame do not fit in memory, those of a band do. Cameras' heights divide by it.
BANDS = 40
_COLORS = 3
_FLOAT = 4


@dataclass(frozen=True)
class SanAnswer:
    """What is said of every pixel of the frame.

    Attributes:
        index: int64 [H, W], the best category.
        best: float32 [H, W], its score.
        scores: float32 [T, H, W], or empty where they were not asked for.
    """

    index: Tensor
    best: Tensor
    scores: Tensor


class AnswerBands(nn.Module):
    """The answer, one band of rows after the other.

    Args:
        size: (height, width) inside the network.
        fast: Sum the masks on their grid and resize the sums, instead of resizing every mask
            before its sigmoid as published: cheaper, and not the same.
        scores: Whether to keep the scores of all categories.
    """

    def __init__(self, *, size: tuple[int, int], fast: bool, scores: bool) -> None:
        super().__init__()
        self.size = size
        self.fast = fast
        self.scores = scores

    def forward(self, masks: Tensor, classes: Tensor, *, height: int, width: int) -> SanAnswer:
        """Answer.

        Args:
            masks: Mask logits, float32 [Q, h, w].
            classes: Class probabilities without the background, float32 [T, Q].
            height: Of the frame.
            width: Of the frame.
        """
        planes = (classes @ masks.sigmoid().flatten(1)).view(-1, *masks.shape[1:])
        planes = planes if self.fast else masks
        band = (height + BANDS - 1) // BANDS
        rows, wide = self._spread(planes, height=height, width=width, count=BANDS * band)
        shape = (band, planes.shape[0], width)
        bands: list[Tensor] = []
        for part in rows.view(BANDS, band, -1).unbind(0):
            values = (part @ wide).view(shape)
            bands.append(values if self.fast else classes @ values.sigmoid())
        best = [_best(values) for values in bands]
        top = _join([value for value, _ in best], height)
        index = _join([place for _, place in best], height)
        scores = _join(bands, height).transpose(0, 1) if self.scores else planes.new_empty(0)
        return SanAnswer(index[:, 0], top[:, 0], scores)

    @staticmethod
    def pixel_bytes(*, queries: int, categories: int) -> int:
        """Bytes of memory that one pixel of a frame takes at the peak, without kept scores."""
        # In a band: masks before and after their sigmoid, scores and what reads them.
        band = 2 * (queries + categories) / BANDS
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


def _best(values: Tensor) -> tuple[Tensor, Tensor]:
    """Highest of float [band, T, W] over T, and where: [band, 1, W] each; the first of equals."""
    if torch.compiler.is_exporting():
        # As a TopK: ONNX Runtime is several times faster at it than at an ArgMax over this axis,
        # and takes the first of equals too. Torch's own topk promises nothing about equals.
        highest = values.topk(1, dim=1)
        return highest.values, highest.indices
    first = values.max(1, keepdim=True)
    return first.values, first.indices


def _join(bands: list[Tensor], height: int) -> Tensor:
    """Bands [band, N, W] one below the other, cut to the frame: [height, N, W]."""
    return torch.cat(bands).index_select(0, torch.arange(height))
