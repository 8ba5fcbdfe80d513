"""Which pixels of an answer are decided: where the best two scores differ by more than rounding.

Two right backends never give a score that is the same to the last digit. Where the best two
outputs score nearly alike, as they must where a model does not tell two words apart or sees
neither, a right backend may answer either of them, and the pixel says nothing about the backend.
So a label counts where the best score leads by more than the tolerance of the scores. Where it
comes as close to the threshold of "unknown", the pixel is undecided as well.

The lead is one number in [0, 1], (best - second) / max(best, `SCORE_FLOOR`): relative, because
scores are off by a share of themselves, but not below the floor, where they are off by some 1e-7
whatever they are (the sigmoid of a runtime is an approximation). Categories that share an output
do not compete: the second is the best of any other output. The C++ library has the same rule
(runtime/src/acceptance.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.bundle.tolerances import EXACT, LIMITS

Lead = NDArray[np.float32]
Scores = NDArray[np.float32]

SCORE_FLOOR = 1e-3
"""A score below this counts as this much when scores are compared."""

FEW = 0.01
"""Share of decided pixels below which labels alone say too little about a graph."""

_STEPS = 65535


def lead_of(best: NDArray[np.float32], second: NDArray[np.float32]) -> Lead:
    """Return the lead of the best score, float32; 1, which counts, where one is not a number."""
    with np.errstate(invalid="ignore"):
        lead = (best - second) / np.maximum(best, np.float32(SCORE_FLOOR))
    bounded: Lead = np.clip(np.nan_to_num(lead, nan=1.0), 0, 1).astype(np.float32)
    return bounded


def pack_lead(lead: Lead) -> NDArray[np.uint16]:
    """Return a lead as a bundle holds it: uint16, in steps of 1/65535."""
    steps: NDArray[np.uint16] = np.rint(lead * np.float64(_STEPS)).astype(np.uint16)
    return steps


def unpack_lead(steps: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Return a lead in [0, 1] from the steps that a bundle holds."""
    lead: NDArray[np.float64] = steps / np.float64(_STEPS)
    return lead


def is_decided(lead: NDArray[np.floating], precision: str) -> NDArray[np.bool_]:
    """Return where a label counts, because its lead is more than rounding; the shape of `lead`."""
    counts: NDArray[np.bool_] = lead > tolerance_of(lead, precision)
    return counts


def tolerance_of(lead: NDArray[np.floating], precision: str) -> float:
    """Return the largest lead that is rounding, in an answer with these leads.

    Where the tolerance of a coarse precision leaves fewer than `FEW` of the pixels, it is that of
    FP32: nothing passes because it was not looked at. So it is for a precision that is not known.
    """
    own = LIMITS.get(precision, LIMITS[EXACT]).lead
    return own if float(np.mean(lead > own)) >= FEW else LIMITS[EXACT].lead


@dataclass(frozen=True)
class Ranking:
    """The best two outputs at every pixel of a frame.

    Attributes:
        first: int32 [H, W], the output that scores highest; the lower of equals.
        second: int32 [H, W], the next of the other outputs; −1 where none scores above 0.
        lead: float32 [H, W] in [0, 1], by how much the first leads (`lead_of`); 1
            where there is one output only, or where a score is not finite.
        behind: float32 [H, W] in [0, 1], by how much the given labels are behind the first.
        best: float32 [H, W], the score of the first.
    """

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    lead: Lead
    behind: Lead
    best: Scores


def with_unknown(
    labels: NDArray[Any], measure: NDArray[np.floating], thresholds: NDArray[np.float32]
) -> NDArray[Any]:
    """Return labels [H, W] as a graph gives them with these thresholds.

    Args:
        labels: As the graph gives them with thresholds of 0.
        measure: [H, W], what is compared.
        thresholds: float32 [K].
    """
    unknown = labels.dtype.type(UNKNOWN[str(labels.dtype)])
    marked: NDArray[Any] = np.where(measure < thresholds[labels], unknown, labels)
    return marked


def is_decided_with_unknown(
    labels: NDArray[Any],
    measure: NDArray[np.floating],
    decided: NDArray[np.bool_],
    thresholds: NDArray[np.float32],
    tolerance: float,
) -> NDArray[np.bool_]:
    """Return where a label counts that may be unknown.

    It counts where the best output is decided and its measure is not so close to the threshold
    that rounding decides; and where no output could reach its threshold, whichever is best.

    Args:
        labels: [H, W], the best output of every pixel.
        measure: [H, W], what is compared with the thresholds.
        decided: [H, W], where the best output is decided.
        thresholds: float32 [K].
        tolerance: Largest relative difference of scores that is rounding.
    """
    if not thresholds.any():
        return decided
    limits, lowest = thresholds[labels], float(thresholds.min())
    room = tolerance * np.maximum(np.maximum(measure, limits), SCORE_FLOOR)
    close = (np.abs(measure - limits) <= room) & (limits > 0)  # nothing is below 0
    surely = measure < lowest - tolerance * max(lowest, SCORE_FLOOR)
    counts: NDArray[np.bool_] = (decided & ~close) | surely
    return counts


def rank_outputs(
    scores: Scores, output_map: Sequence[int], size: tuple[int, int], given: NDArray[Any]
) -> Ranking:
    """Rank the outputs of an answer at every pixel.

    Args:
        scores: float32 [T, h, w] by category, none below 0; of any size, and resized as the graph
            does it (bilinear, half-pixel centers).
        output_map: Output of every category.
        size: (H, W) of the frame.
        given: Labels [H, W] that somebody else gave.
    """
    best: Scores = np.zeros(size, np.float32)
    second, reached = best.copy(), best.copy()
    first: NDArray[np.int32] = np.full(size, -1, np.int32)
    runner_up = first.copy()
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
    return Ranking(first, runner_up.astype(np.int32), lead, lead_of(best, reached), best)


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
