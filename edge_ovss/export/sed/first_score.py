"""The score before the first rejection, without computing the channels behind it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The head's taps that read before the first and behind the last place: of three, these.
_FIRST, _LAST = 0, 2


class FirstScore(nn.Module):
    """`conv1` and the head behind it as one convolution with one output.

    Nothing nonlinear lies between `conv1` (7×7) and the head (3×3, one output), so that a 9×9
    kernel does what both do, except at the border: there the head sees zeros where the kernel
    would see what `conv1` says of places outside the image. What the head's taps would read
    there is computed for each of the four sides, and taken away.

    All are written as transposed convolutions. ONNX Runtime makes of those a matrix product and a
    sum of shifted copies; of a plain one with one output it makes 16, 15 of them for nothing (95
    instead of 4 ms for 150 categories at 24×24). OpenVINO makes 16 of a transposed one, so that
    each comes in two: one output for every row of the kernel, then those, each moved to its row
    (9 instead of 39 ms).

    Args:
        conv: `conv1`, from P channels to C; padding keeps the size.
        head: From C channels to one, 3×3, padding 1.
        size: (height, width) of the cost map.
    """

    def __init__(self, conv: nn.Conv2d, head: nn.Conv2d, *, size: tuple[int, int]) -> None:
        super().__init__()
        mix = head.weight.detach().double()[0]  # [C, 3, 3]
        weight = conv.weight.detach().double()
        taps = torch.einsum("cpyx,cij->ijpyx", weight, mix)
        bias = torch.einsum("c,cij->ij", _bias(conv), mix)
        reach, every = conv.kernel_size[0] // 2, (0, 1, 2)
        self.whole = _Reader(_spread(taps, every, every), bias.sum() + _bias(head))
        ends = [(tap, *_seen(length, tap, reach)) for length in size for tap in (_FIRST, _LAST)]
        rows, cols = ends[:2], ends[2:]
        self.rows = nn.ModuleList(
            _Reader(_spread(taps, (tap,), every), bias[tap].sum(), rows=span, kernel_row=first)
            for tap, span, first in rows
        )
        self.cols = nn.ModuleList(
            _Reader(_spread(taps, every, (tap,)), bias[:, tap].sum(), cols=span, kernel_col=first)
            for tap, span, first in cols
        )
        self.corners = nn.ModuleList(
            _Reader(taps[i, j], bias[i, j], rows=r, cols=c, kernel_row=y, kernel_col=x)
            for i, r, y in rows
            for j, c, x in cols
        )

    def forward(self, cost: Tensor) -> Tensor:
        """Map the cost map, float [T, P, h, w], to scores [T, 1, h, w]."""
        height, width = cost.shape[2:]
        outside = torch.zeros((), device=cost.device)
        for side in (0, 1):
            row = self.rows[side](cost)
            for corner in (0, 1):  # a row's and a column's, to be taken away once
                read = self.corners[2 * side + corner](cost)
                row = row - read * _one_hot(width, corner, cost)
            outside = outside + row * _one_hot(height, side, cost)[:, None]
            outside = outside + self.cols[side](cost) * _one_hot(width, side, cost)
        score: Tensor = self.whole(cost) - outside
        return score


Span = tuple[int, int]


class _Reader(nn.Module):
    """A convolution with one output over a part of the cost map, as two transposed convolutions.

    The first has an output for every row of the kernel, the second moves each to its place and
    adds them. Weights are constants of their own: what folds them out of others need not know it.

    Args:
        kernel: float64 [P, a, b].
        bias: Scalar.
        rows: First row and number of rows that are read, which give one row; None for all, which
            give as many.
        cols: The same of columns.
        kernel_row: First row of the kernel that meets them.
        kernel_col: The same of columns.
    """

    weight: Tensor
    moves: Tensor

    def __init__(
        self,
        kernel: Tensor,
        bias: Tensor,
        *,
        rows: Span | None = None,
        cols: Span | None = None,
        kernel_row: int = 0,
        kernel_col: int = 0,
    ) -> None:
        super().__init__()
        self.spans = (rows, cols)
        for dim, span, first in ((1, rows, kernel_row), (2, cols, kernel_col)):
            kernel = kernel if span is None else kernel.narrow(dim, first, span[1])
        self.register_buffer("weight", kernel.flip(1, 2)[:, :, None].float().contiguous())
        rows_read = kernel.shape[1]
        self.register_buffer("moves", torch.eye(rows_read).view(rows_read, 1, rows_read, 1))
        self.bias = float(bias)
        sizes = zip(kernel.shape[1:], self.spans, strict=True)
        self.padding = [size // 2 if span is None else size - 1 for size, span in sizes]

    def forward(self, cost: Tensor) -> Tensor:
        """Map float [T, P, h, w] to [T, 1, h or 1, w or 1]."""
        for dim, span in zip((2, 3), self.spans, strict=True):
            cost = cost if span is None else cost.narrow(dim, *span)
        down, across = self.padding
        rows = F.conv_transpose2d(cost, self.weight, padding=(0, across))
        return F.conv_transpose2d(rows, self.moves, padding=(down, 0)) + self.bias


def _seen(length: int, tap: int, reach: int) -> tuple[Span, int]:
    """Return what `conv1` reads beyond an end: (start, number), and where its kernel starts."""
    seen = min(reach, length)
    return ((0, seen), reach + 1) if tap == _FIRST else ((length - seen, seen), reach - seen)


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        message = "conv1 and SED's score heads have a bias"
        raise ValueError(message)
    return layer.bias.detach().double()


def _spread(taps: Tensor, rows: tuple[int, ...], cols: tuple[int, ...]) -> Tensor:
    """Add kernels [3, 3, P, k, k] of some taps, each where its tap is; [P, k + 2, k + 2].

    Of one row of taps, or one column, the place in that direction does not count: it is 0.
    """
    _, _, channels, size, _ = taps.shape
    kernel = taps.new_zeros(channels, size + 2, size + 2)
    for i in rows:
        for j in cols:
            y, x = (i if len(rows) > 1 else 0), (j if len(cols) > 1 else 0)
            kernel[:, y : y + size, x : x + size] += taps[i, j]
    return kernel


def _one_hot(length: int, side: int, like: Tensor) -> Tensor:
    """1 at the first place (side 0) or at the last (1) and 0 elsewhere, float [length]."""
    places = torch.arange(length, device=like.device)
    return (places == side * (length - 1)).to(like.dtype)
