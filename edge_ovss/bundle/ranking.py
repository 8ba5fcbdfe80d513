"""From the scores of a reference to how sure its labels are, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.decisive import Lead, lead_of

Scores = NDArray[np.float32]


@dataclass(frozen=True)
class Ranking:
    """The best two outputs at every pixel of a frame.

    Attributes:
        first: int32 [H, W], the output that scores highest; the lower of equals.
        second: int32 [H, W], the next of the other outputs; −1 where none scores above 0.
        lead: float32 [H, W] in [0, 1], by how much the first leads (`runtime.decisive`); 1
            where there is one output only, or where a score is not finite.
        behind: float32 [H, W] in [0, 1], by how much the given labels are behind the first.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    lead: Lead
    behind: Lead


def rank_outputs(
    scores: Scores, output_map: Sequence[int], size: tuple[int, int], given: NDArray[Any]
) -> Ranking:
    """Rank the outputs of an answer at every pixel.

    Args:
        scores: float32 [T, h, w] by category, none below 0; of any size, and resized as the graph
            does it (bilinear, half-pixel centres).
        output_map: Output of every category.
        size: (H, W) of the frame.
        given: Labels [H, W] that somebody else gave.
    """
    best, second = np.zeros(size, np.float32), np.zeros(size, np.float32)
    first, runner_up = np.full(size, -1, np.int32), np.full(size, -1, np.int32)
    reached = np.zeros(size, np.float32)
    for category, plane in _planes(scores, size):
        output = output_map[category]
        own, better = first == output, plane > best
        overtaken = better & ~own
        challenger = ~better & ~own & (plane > second)
        runner_up = np.where(overtaken, first, np.where(challenger, output, runner_up))
        second = np.where(overtaken, best, np.where(challenger, plane, second))
        first, best = np.where(better, np.int32(output), first), np.maximum(best, plane)
        reached = np.where(given == output, np.maximum(reached, plane), reached)
    # A single output has no rival, and scores that are no numbers excuse nothing.
    certain = len(set(output_map)) == 1 or not np.isfinite(scores).all()
    lead = np.ones(size, np.float32) if certain else lead_of(best, second)
    return Ranking(first, runner_up.astype(np.int32), lead, lead_of(best, reached))


def _planes(scores: Scores, size: tuple[int, int]) -> Iterator[tuple[int, Scores]]:
    """Yield the categories that score anywhere, with their scores at the size of the frame."""
    cv2 = require("cv2", extra="onnxruntime")
    height, width = size
    for category, plane in enumerate(scores):
        if not plane.any():  # rejected: 0 everywhere
            continue
        if plane.shape != size:
            plane = cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        yield category, plane
