"""The score before the first rejection, without the 128 channels that it is made from."""

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
    would see what `conv1` says of places outside the picture. What the head's taps would read
    there is computed for each of the four sides, and taken away.

    All are written as transposed convolutions. With one output, a runtime makes of those a matrix
    product and a sum of shifted copies; of a plain one ONNX Runtime makes 16 outputs, 15 of them
    for nothing (4 instead of 95 ms for 150 categories at 24×24).

    Args:
        conv: `conv1`, from P channels to C; padding keeps the size.
        head: From C channels to one, 3×3, padding 1.
    """

    kernel: Tensor
    rows: Tensor
    cols: Tensor
    corners: Tensor
    row_bias: Tensor
    col_bias: Tensor
    corner_bias: Tensor

    def __init__(self, conv: nn.Conv2d, head: nn.Conv2d) -> None:
        super().__init__()
        mix = head.weight.detach().double()[0]  # [C, 3, 3]
        weight, size = conv.weight.detach().double(), conv.kernel_size[0]
        taps = torch.einsum("cpyx,cij->ijpyx", weight, mix)
        bias = torch.einsum("c,cij->ij", _bias(conv), mix)
        self.reach = size // 2
        self.whole_bias = float(bias.sum() + _bias(head))
        ends, every = [_FIRST, _LAST], (0, 1, 2)
        rows = [_spread(taps, (i,), every)[:, :size] for i in ends]
        cols = [_spread(taps, every, (j,))[..., :size] for j in ends]
        self.register_buffer("kernel", _spread(taps, every, every).float())
        self.register_buffer("rows", torch.stack(rows).float())
        self.register_buffer("cols", torch.stack(cols).float())
        self.register_buffer("corners", taps[ends][:, ends].float())
        self.register_buffer("row_bias", bias[ends].sum(1).float())
        self.register_buffer("col_bias", bias[:, ends].sum(0).float())
        self.register_buffer("corner_bias", bias[ends][:, ends].float())

    def forward(self, cost: Tensor) -> Tensor:
        """Map the cost map, float [T, P, h, w], to scores [T, 1, h, w]."""
        height, width = cost.shape[2:]
        ends = ((_FIRST, 0), (_LAST, 1))
        outside = torch.zeros((), device=cost.device)
        for tap, side in ends:
            top = self._row(cost, tap, side)
            for other, corner in ends:  # a row's and a column's, to be taken away once
                read = self._corner(cost, (tap, other), (side, corner))
                top = top - read * _one_hot(width, corner, cost)
            outside = outside + top * _one_hot(height, side, cost)[:, None]
            outside = outside + self._col(cost, tap, side) * _one_hot(width, side, cost)
        return _transposed(cost, self.kernel) + self.whole_bias - outside

    def _row(self, cost: Tensor, tap: int, side: int) -> Tensor:
        """What the three taps beyond the first or last row read, float [T, 1, 1, w]."""
        near, kernel = self._near(cost, self.rows[side], tap, dim=2)
        return _transposed(near, kernel, single=(True, False)) + self.row_bias[side]

    def _col(self, cost: Tensor, tap: int, side: int) -> Tensor:
        """What the three taps beyond the first or last column read, float [T, 1, h, 1]."""
        near, kernel = self._near(cost, self.cols[side], tap, dim=3)
        return _transposed(near, kernel, single=(False, True)) + self.col_bias[side]

    def _corner(self, cost: Tensor, taps: tuple[int, int], at: tuple[int, int]) -> Tensor:
        """What the tap beyond a corner reads, float [T, 1, 1, 1]."""
        near, kernel = self._near(cost, self.corners[at], taps[0], dim=2)
        near, kernel = self._near(near, kernel, taps[1], dim=3)
        return _transposed(near, kernel, single=(True, True)) + self.corner_bias[at]

    def _near(self, x: Tensor, kernel: Tensor, tap: int, *, dim: int) -> tuple[Tensor, Tensor]:
        """What `conv1` sees along `dim` from beyond the border, and its kernel for that."""
        length = x.shape[dim]
        seen = min(self.reach, length)
        start, first = (0, self.reach + 1) if tap == _FIRST else (length - seen, self.reach - seen)
        return x.narrow(dim, start, seen), kernel.narrow(dim - 1, first, seen)


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


def _transposed(x: Tensor, kernel: Tensor, *, single: tuple[bool, bool] = (False, False)) -> Tensor:
    """Convolve float [T, P, h, w] with a kernel [P, a, b], as a transposed convolution.

    Rows and columns keep their number, or, where `single`, come down to one.
    """
    weight = kernel.flip(1, 2)[:, None]
    sizes = zip(kernel.shape[1:], single, strict=True)
    padding = [size - 1 if one else size // 2 for size, one in sizes]
    return F.conv_transpose2d(x, weight, padding=padding)


def _one_hot(length: int, side: int, like: Tensor) -> Tensor:
    """1 at the first place (side 0) or at the last (1) and 0 elsewhere, float [length]."""
    places = torch.arange(length, device=like.device)
    return (places == side * (length - 1)).to(like.dtype)
