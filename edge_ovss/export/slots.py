"""Measure how many slots a vocabulary needs on given images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_ovss._addresses import shown_address
from edge_ovss.bundle.rejection import DEFAULT_SLOTS
from edge_ovss.errors import InputError
from edge_ovss.frames.sources import open_source

PERCENTILE = 99.9
MULTIPLE = 8


@dataclass(frozen=True)
class SlotChoice:
    """Slots and what they were chosen from.

    Attributes:
        slots: Places after the three rejections.
        pictures: Number of images that were measured.
        percentiles: For 50, 90, 99, 99.9 and 100: the three counts.
        overflow: Share of the images that would overflow some slots.
    """

    slots: tuple[int, int, int]
    pictures: int
    percentiles: dict[str, list[float]]
    overflow: float

    def to_json(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "pictures": self.pictures,
            "percentiles": self.percentiles,
            "expected_overflow": self.overflow,
        }


def measure_counts(probe: nn.Module, source: str) -> NDArray[np.int32]:
    """Run a `dynamic` graph in torch on every image of a source.

    Returns:
        int32 [pictures, 3]: how many categories wanted to stay at each rejection.
    """
    counts: list[NDArray[np.int32]] = []
    with torch.inference_mode():
        for frame in open_source(source):
            counts.append(probe(torch.from_numpy(np.array(frame.image))[None])[2].numpy())
    if not counts:
        message = f"There are no images in '{shown_address(source)}' to choose slots from."
        raise InputError(message)
    return np.stack(counts)


def choose_slots(counts: NDArray[np.int32], *, topk: int, categories: int) -> SlotChoice:
    """Choose the 99.9th percentile of the counts, rounded up to a multiple of 8.

    Args:
        counts: int32 [pictures, 3].
        topk: Slots are never fewer.
        categories: Slots are never more.
    """
    if counts.ndim != 2 or counts.shape[1] != len(DEFAULT_SLOTS) or not len(counts):
        message = f"Counts have the shape {counts.shape}; expected [pictures, 3]."
        raise InputError(message)
    wanted = np.percentile(counts, PERCENTILE, axis=0)
    sizes = [max(topk, math.ceil(float(w) / MULTIPLE) * MULTIPLE) for w in wanted]
    capped = [min(size, categories) for size in sizes]
    # Later rejections never need more room than earlier ones.
    first, second, third = (min(capped[: i + 1]) for i in range(3))
    slots = (first, second, third)
    levels = (50.0, 90.0, 99.0, PERCENTILE, 100.0)
    return SlotChoice(
        slots=slots,
        pictures=len(counts),
        percentiles={
            f"{level:g}": [float(v) for v in np.percentile(counts, level, axis=0)]
            for level in levels
        },
        overflow=float((counts > np.array(slots)).any(axis=1).mean()),
    )
