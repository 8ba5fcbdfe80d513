"""Padding of images, as published networks do it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(image: Tensor, *, multiple: int) -> Tensor:
    """Pad with zeros at the right and the bottom.

    Args:
        image: float [B, C, H, W], already normalized: zero is the mean color.
        multiple: Height and width become multiples of this.
    """
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % multiple, 0, -height % multiple))
