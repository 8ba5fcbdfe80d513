"""From scores at a quarter of the network's size to labels at the frame's size."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

# Categories resized at a time, on as many cores. The memory of a frame grows with it: 48 MB each at
# 12 megapixels.
CHUNK = 4
# Where it is not known while tracing how many categories there are, they come in so many parts.
PARTS = 8
# What is there besides the resized scores when a category is compared: itself, the best and the
# labels before and after, and two halves that ONNX Runtime's Where makes.
_OTHERS = 7
_FLOAT = 4
# ONNX Runtime's arena has holes, as tensors come and go: measured at 12 and 48 megapixels.
_HOLES = 1.15
# Memory in bytes of one pixel at the peak, with the frame and its labels.
PIXEL_BYTES = round((CHUNK + _OTHERS) * _FLOAT * _HOLES) + 4


def best_label(
    scores: Tensor, table: Tensor, *, height: int, width: int, chunk: int = CHUNK
) -> tuple[Tensor, Tensor]:
    """Resize scores and find what the highest of them stands for at every pixel.

    The categories are resized a few at a time and only the best so far is kept: the same result as
    one argmax over all of them (ties go to the lower index), and the memory that it takes does not
    grow with the number of categories. The exported graph is made to keep that order
    (`graph.resize_in_turn`).

    Args:
        scores: float [S, h, w], S at least 1.
        table: float [S], what each category stands for.
        height: Height of the frame.
        width: Width of the frame.
        chunk: Categories at a time.

    Returns:
        The best category's number in the table, float [height, width], and its score, float.
    """
    size = (height, width)
    best = label = scores.new_empty(0)
    for start in range(0, len(scores), chunk):
        resized = _resize(scores[start : start + chunk], size)
        entries = table[start : start + chunk]
        if start == 0:
            best, label = _compare(resized, entries, None, None)
        else:
            best, label = _compare(resized, entries, best, label)
    return label.expand_as(best)[0, 0], best[0, 0]


def _compare(
    resized: Tensor, entries: Tensor, best: Tensor | None, label: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the best of float [1, N, H, W] and of `best`, and what it stands for: [1, 1, H, W].

    Every kind of step is taken for all planes before the next kind. ONNX Runtime walks back from
    the answer and takes what is behind in the file first: so it comes to the first plane first, and
    a plane is cut, compared and dropped before the next one is cut.
    """
    planes = [resized.narrow(1, place, 1) for place in range(resized.shape[1])]
    numbers = [entries[place] for place in range(resized.shape[1])]
    if best is None or label is None:
        best, label = planes.pop(0), numbers.pop(0)
    bests = list(accumulate(planes, torch.maximum, initial=best))
    higher = [plane > before for plane, before in zip(planes, bests, strict=False)]
    for number, here in zip(numbers, higher, strict=True):
        label = torch.where(here, number, label)
    return bests[-1], label


def best_label_of_any(
    scores: Tensor, table: Tensor, *, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Return what `best_label` does, where S is known at run time only.

    The categories come in `PARTS` parts, whose length is then known at run time only.
    """
    count = scores.shape[0]
    length = (count + PARTS - 1) // PARTS
    # Scores are above 0, so that none of what fills the last parts is ever the best.
    filled = torch.cat([scores, scores.new_zeros(PARTS - 1, *scores.shape[1:])])
    parts = filled[: PARTS * length].view(PARTS, length, *scores.shape[1:])
    best = place = scores.new_empty(0)
    for number in range(PARTS):
        highest = _resize(parts[number], (height, width)).max(1)
        index = highest.indices.to(scores.dtype) + number * length
        if number == 0:
            best, place = highest.values, index
        else:
            place = torch.where(highest.values > best, index, place)
            best = torch.maximum(highest.values, best)
    label = table.index_select(0, place.to(torch.int64).flatten())
    return label.view(height, width), best[0]


def _resize(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Float [N, h, w] → [1, N, *size]."""
    return F.interpolate(scores[None], size=size, mode="bilinear", align_corners=False)
