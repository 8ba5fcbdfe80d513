"""The frames that compare a graph with torch, and the one whose answer goes into the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ovss.bundle.decisive import FEW, LEAD_TOLERANCE, Lead, pack_lead
from edge_ovss.bundle.writer import BundleWriter
from edge_ovss.synthetic import render_street

Frame = NDArray[np.uint8]

FILES = ("frame", "labels", "alive", "counts", "lead")

# Height, width and seed of the frames that compare programs; the graph is traced with the first.
_FRAMES = ((480, 640, 7_000_001), (361, 499, 7_000_002))
# Looked at as well where nearly every pixel of those is undecided.
_MORE = tuple((240, 320, 7_000_003 + number) for number in range(6))


@dataclass(frozen=True)
class Answered:
    """A frame with torch's answer.

    Attributes:
        frame: uint8 [H, W, 3] RGB.
        outputs: Torch's outputs by name.
        lead: float32 [H, W], by how much the best output leads.
    """

    frame: Frame
    outputs: dict[str, NDArray[Any]]
    lead: Lead

    @property
    def decided(self) -> float:
        """Share of the pixels in which a right backend has no choice."""
        return float(np.mean(self.lead > LEAD_TOLERANCE["fp32"]))


def first_frames() -> list[Frame]:
    """Draw the frames that every graph is compared on."""
    return [render_street(seed=s, height=h, width=w).image for h, w, s in _FRAMES]


def more_frames() -> list[Frame]:
    """Draw the frames for vocabularies that find nothing on the first."""
    return [render_street(seed=s, height=h, width=w).image for h, w, s in _MORE]


def says_little(answers: Sequence[Answered]) -> bool:
    """Say whether labels would compare next to nothing on these frames."""
    return max((each.decided for each in answers), default=0.0) < FEW


def choose_reference(answers: Sequence[Answered]) -> Answered:
    """Return the first frame, or the one with most to compare where that has next to nothing."""
    first = answers[0]
    return max(answers, key=lambda each: each.decided) if first.decided < FEW else first


def write_reference(writer: BundleWriter, answered: Answered) -> None:
    """Write the reference answer: `FILES`, as docs/bundle.md describes them."""
    outputs = answered.outputs
    arrays = {
        "frame": answered.frame,
        "labels": outputs["labels"][0],
        "alive": outputs["alive"],
        "counts": outputs["counts"],
        "lead": pack_lead(answered.lead),
    }
    for name in FILES:
        write_array(writer, f"reference/{name}.npy", arrays[name])


def write_array(writer: BundleWriter, name: str, array: NDArray[Any]) -> None:
    """Write an array into a bundle, without Python objects."""
    with writer.path(name).open("wb") as stream:
        np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
