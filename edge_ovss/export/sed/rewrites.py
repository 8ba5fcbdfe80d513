"""Exact rewrites of the SED graph, and switches for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_ovss.bundle.sections import GPU

# Pieces of about this size stay in a processor's last cache between one operation and the next, and
# of sed-base's widest products the rows of one core stay in its second cache (docs/performance.md).
PIECE_BYTES = 5 << 20
# Cutting costs copies, and every piece its own nodes: not below this, not more pieces than that.
_CUT_FROM = 3
_MOST_PIECES = 16
_FLOAT = 4

Grid = tuple[int, int]


@dataclass(frozen=True)
class Rewrites:
    """Rewrites of SED, each of which can be left out to see what it gains or that it is exact.

    Attributes:
        late_cost: `conv1` runs for the categories that survived the first rejection; the others
            only have the score computed that rejects them (`FirstScore`).
        late_guidance: The cost guidance of a category is computed after the rejection before it.
        split_skip: The part of a skip convolution that reads the image runs once, not for every
            category.
        joint_heads: The class attention's heads stay side by side instead of being transposed.
        piece_bytes: Wide tensors are made a piece at a time, of about so many bytes; None for
            all at once.
    """

    late_cost: bool = True
    late_guidance: bool = True
    split_skip: bool = True
    joint_heads: bool = True
    piece_bytes: int | None = PIECE_BYTES


def rewrites_for(made_for: str) -> Rewrites:
    """Return the rewrites for a device: a GPU has no such cache, and is slow at many pieces."""
    return Rewrites(piece_bytes=None) if made_for == GPU else Rewrites()


def in_pieces(
    call: Callable[..., Tensor], *tensors: Tensor, dim: int, widest: int, limit: int | None
) -> Tensor:
    """Apply `call` to slices of tensors along `dim` and join the results.

    Args:
        call: Treats every slice along `dim` like every other, and keeps its length.
        tensors: Its arguments, all of the same length along `dim`.
        dim: Along which to cut.
        widest: Numbers in the largest tensor that `call` makes of the whole of `tensors`.
        limit: Bytes of that tensor in a piece, or None for one piece.
    """
    length = tensors[0].shape[dim]
    size = None if limit is None else piece_size(length, widest=widest, limit=limit)
    if size is None or size >= length:
        return call(*tensors)
    spans = [(at, min(size, length - at)) for at in range(0, length, size)]
    # Slices and not one split: a runtime then makes a piece when it is needed, not all at once.
    return torch.cat([call(*(x.narrow(dim, *span) for x in tensors)) for span in spans], dim)


def piece_size(length: int, *, widest: int, limit: int) -> int:
    """Return how long a piece of `length` is; `length` itself where nothing is to be cut."""
    if widest * _FLOAT < _CUT_FROM * limit:
        return length
    count = min(_MOST_PIECES, -(-widest * _FLOAT // limit), length)
    return -(-length // count)


def to_rows(x: Tensor) -> Tensor:
    """Float [N, C, h, w] → [N, h·w, C]: the channels of a position side by side.

    Three axes and not four: OpenVINO then takes a transpose of what a convolution wrote as a mere
    change of names, and a norm over the channels as one operation.
    """
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_planes(x: Tensor, grid: Grid) -> Tensor:
    """Float [N, h·w, C] → [N, C, h, w], with `grid` (h, w)."""
    planes: Tensor = x.unflatten(1, grid).permute(0, 3, 1, 2)
    return planes


def norm_rows(rows: Tensor, norm: Any) -> Tensor:  # noqa: ANN401
    """Norm over the channels of float [N, h·w, C] by timm's layer for [N, C, h, w]."""
    return F.layer_norm(rows, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


class PieceBlock(nn.Module):
    """A trunk block whose norm and linear layers see some positions of the image at a time.

    Args:
        block: A ConvNeXt block without layer scale and without a layer on its shortcut.
        limit: Bytes of the widened tensor in a piece, or None.
    """

    def __init__(self, block: Any, limit: int | None) -> None:  # noqa: ANN401
        super().__init__()
        self.conv_dw, self.norm, self.mlp = block.conv_dw, block.norm, block.mlp
        self.limit = limit
        self.width = int(block.mlp.fc1.out_features)

    def forward(self, x: Tensor, grid: Grid) -> Tensor:
        """Map rows, float [1, h·w, C], to the same shape; `grid` is (h, w)."""
        y = to_rows(self.conv_dw(to_planes(x, grid)))
        widest = y.shape[1] * self.width
        # The shortcut is added to the whole: cutting it too would be one copy more.
        return x + in_pieces(self._mix, y, dim=1, widest=widest, limit=self.limit)

    def _mix(self, y: Tensor) -> Tensor:
        mixed: Tensor = self.mlp(self.norm(y))
        return mixed


def in_this_order(last: Tensor, *before: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors as they are, such that nothing reads `last` before all are made.

    A runtime that walks back from the outputs makes the image guidance only where the decoder
    reads it, and keeps the trunk's features, the largest tensors there are, until then.
    """
    tensors = (last, *before)
    parts = torch.cat([x.flatten() for x in tensors]).split([x.numel() for x in tensors])
    return tuple(part.view(x.shape) for part, x in zip(parts, tensors, strict=True))
