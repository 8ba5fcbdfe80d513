"""From scores at a quarter of the network's size to labels at the frame's size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Categories upsampled at a time: the resized scores of 12-megapixel frames must fit in memory.
CHUNK = 8


def best_category(
    scores: Tensor, *, height: int, width: int, chunk: int | None = CHUNK
) -> tuple[Tensor, Tensor]:
    """Resize scores and find the highest at every pixel.

    The categories are resized a few at a time and only the best so far is kept: the same answer as
    one argmax over all of them (ties go to the lower index), in a fraction of the memory.

    Args:
        scores: float [S, h, w], S at least 1.
        height: Of the frame.
        width: Of the frame.
        chunk: Categories at a time; None for all at once.

    Returns:
        Index of the best, float [height, width] (exact below 2^24), and its score, float.
    """
    parts = (scores,) if chunk is None else scores.split(chunk)
    best_index, best_score = _best_of(parts[0], height=height, width=width)
    start = parts[0].shape[0]
    for part in parts[1:]:
        index, score = _best_of(part, height=height, width=width)
        best_index = torch.where(score > best_score, index + start, best_index)
        best_score = torch.maximum(score, best_score)
        start += part.shape[0]
    return best_index, best_score


def _best_of(scores: Tensor, *, height: int, width: int) -> tuple[Tensor, Tensor]:
    size = (height, width)
    resized = F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)
    score, index = resized[0].max(0)
    return index.to(scores.dtype), score
