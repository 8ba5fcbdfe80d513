"""Resizes of SAN, as in the published implementation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shrink(image: Tensor, *, factor: float) -> Tensor:
    """Resize by a factor below 1, bilinear, without antialiasing.

    The sampling step is 1/factor and the size floor(size·factor) in double precision; a resize
    to that size would sample elsewhere.
    """
    return F.interpolate(image, scale_factor=factor, mode="bilinear", align_corners=False)


def shrunk_side(side: int, factor: float) -> int:
    """Side that `shrink` makes of `side`."""
    return int(side * factor)


def resize_positions(grid: Tensor, *, height: int, width: int) -> Tensor:
    """Resize position embeddings, bicubic; nothing happens where the size is right.

    Args:
        grid: float [1, h, w, C].
        height: Height of the result.
        width: Width of the result.

    Returns:
        float [1, height·width, C].
    """
    if grid.shape[1:3] != (height, width):
        planes = grid.permute(0, 3, 1, 2)
        planes = F.interpolate(planes, (height, width), mode="bicubic", align_corners=False)
        grid = planes.permute(0, 2, 3, 1)
    return grid.flatten(1, 2)


def clip_positions(embedding: Tensor, *, height: int, width: int) -> Tensor:
    """Position embeddings of a CLIP ViT, for the class token and a grid.

    Args:
        embedding: float [1 + n·n, C], class token first.
        height: Patches downwards.
        width: Patches across.

    Returns:
        float [1, 1 + height·width, C].
    """
    side = round((embedding.shape[0] - 1) ** 0.5)
    grid = embedding[1:].view(1, side, side, -1)
    patches = resize_positions(grid, height=height, width=width)
    return torch.cat([embedding[None, :1], patches], dim=1)
