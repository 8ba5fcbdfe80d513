"""Which pixels of an answer are decided: where the best two scores differ by more than rounding.

Two right backends never give a score that is the same to the last digit. Where the best two
outputs score nearly alike, as they must where a model does not tell two words apart or sees
neither, a right backend may answer either of them, and the pixel says nothing about the backend.
So a label counts where the best score leads by more than the tolerance of the scores.

The lead is one number in [0, 1], (best - second) / max(best, `SCORE_FLOOR`): relative, because
scores are off by a share of themselves, but not below the floor, where they are off by some 1e-7
whatever they are (the sigmoid of a runtime is an approximation). Categories that share an output
do not compete: the second is the best of any other output. The C++ library has the same rule
(runtime/src/acceptance.cpp).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lead = NDArray[np.float32]

SCORE_FLOOR = 1e-3
"""A score below this counts as this much when scores are compared."""

LEAD_TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2, "bf16": 1e-1, "int8": 1e-1}
"""The largest lead that is rounding, by precision.

FP32: what scores may differ by. FP16 keeps 11 bits of logits of up to 16: half a per cent of a
score for every rounding, either way. BF16 keeps 8 bits, and INT8 no more. What a precision costs is
another matter, which mIoU on labelled pictures tells.
"""

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


def tolerance_of(lead: NDArray[np.floating], precision: str) -> float:
    """Return the largest lead that is rounding, in an answer with these leads.

    Where the tolerance of a coarse precision leaves fewer than `FEW` of the pixels, it is that of
    FP32: nothing passes because it was not looked at. So it is for a precision that is not known.
    """
    exact = LEAD_TOLERANCE["fp32"]
    own = LEAD_TOLERANCE.get(precision, exact)
    return own if float(np.mean(lead > own)) >= FEW else exact
