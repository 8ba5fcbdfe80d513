"""Positions: sines for the decoders, resized learned grids for CLIP."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_EPS = 1e-6
_BASE = 10000.0


def sine_positions(height: int, width: int, *, channels: int) -> Tensor:
    """Sine positions of a grid.

    Args:
        height: Rows.
        width: Columns.
        channels: Even; the first half encodes the row, the second the column.

    Returns:
        float32 [height·width, channels], row by row.
    """
    rows = _waves(height, channels // 2)
    columns = _waves(width, channels // 2)
    both = torch.cat(
        [
            rows[:, None].expand(height, width, -1),
            columns[None].expand(height, width, -1),
        ],
        dim=2,
    )
    return both.flatten(0, 1)


def _waves(count: int, channels: int) -> Tensor:
    """Float32 [count, channels]: sine in even channels, cosine in odd ones."""
    places = torch.arange(1, count + 1, dtype=torch.float32) / (count + _EPS) * (2 * math.pi)
    index = torch.arange(channels, dtype=torch.float32)
    phases = places[:, None] / _BASE ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    even = torch.arange(channels) % 2 == 0
    return torch.where(even, phases.sin(), phases.cos())


def fit_positions(learned: Tensor, height: int, width: int) -> Tensor:
    """Resize learned positions to a grid, bicubic, without antialiasing; the class row is kept.

    The published code does not resize where the number of tokens fits already, whatever the shape
    of the grid: 576 learned places are dealt out in reading order to a grid of 18x32.

    Args:
        learned: float [1 + n·n, C], class token first.
        height: Rows of the grid.
        width: Columns of the grid.

    Returns:
        float [1 + height·width, C].
    """
    if len(learned) == 1 + height * width:
        return learned
    side = math.isqrt(len(learned) - 1)
    grid = learned[1:].t().reshape(1, -1, side, side)
    resized = F.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
    return torch.cat([learned[:1], resized[0].flatten(1).t()])
