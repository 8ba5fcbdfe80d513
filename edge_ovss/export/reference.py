"""The frames on which a graph is compared with torch, and the one that the bundle keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import FEW, Lead
from edge_ovss.bundle.reference import Reference
from edge_ovss.bundle.tolerances import EXACT, LIMITS
from edge_ovss.synthetic import render_street

Frame = NDArray[np.uint8]

# Height, width and seed of the frames that compare programs; the graph is traced with the first.
_FRAMES = ((480, 640, 7_000_001), (361, 499, 7_000_002))
# Compared as well if nearly every pixel of those is undecided.
_MORE = tuple((240, 320, 7_000_003 + number) for number in range(6))


@dataclass(frozen=True)
class Answered:
    """A frame with the outputs of torch.

    Attributes:
        frame: uint8 [H, W, 3] RGB.
        outputs: Outputs of torch by name.
        lead: float32 [H, W], by how much the best output leads.
        measure: float32 [H, W], what thresholds of "unknown" are compared with.
    """

    frame: Frame
    outputs: dict[str, NDArray[Any]]
    lead: Lead
    measure: NDArray[np.float32]

    @property
    def reference(self) -> Reference:
        """The frame with these outputs, as a bundle keeps it."""
        found = self.outputs
        labels, alive, counts = found["labels"][0], found["alive"], found["counts"]
        return Reference(self.frame, labels, alive, counts, self.lead, self.measure)

    @property
    def decided(self) -> float:
        """Share of the pixels whose label every correct backend agrees on."""
        return float(np.mean(self.lead > LIMITS[EXACT].lead))


def first_frames() -> list[Frame]:
    """Draw the frames that every graph is compared on."""
    return [render_street(seed=s, height=h, width=w).image for h, w, s in _FRAMES]


def more_frames() -> list[Frame]:
    """Draw frames for vocabularies that find nothing on the first ones."""
    return [render_street(seed=s, height=h, width=w).image for h, w, s in _MORE]


def says_little(answers: Sequence[Answered]) -> bool:
    """Return whether nearly all labels on these frames are undecided."""
    return max((each.decided for each in answers), default=0.0) < FEW


def choose_reference(answers: Sequence[Answered]) -> Answered:
    """Return the first frame, or the most decided one if nearly all of the first is undecided."""
    first = answers[0]
    return max(answers, key=lambda each: each.decided) if first.decided < FEW else first
