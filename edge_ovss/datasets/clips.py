"""The videos of a data set: samples that follow each other, in the order of their numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_ovss.datasets.dataset import Dataset, Sample

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Clip:
    """One video.

    Attributes:
        name: The folder of its samples; "" for the data set's own.
        samples: Its frames, in order.
    """

    name: str
    samples: tuple[Sample, ...]


def clips_of(dataset: Dataset) -> tuple[Clip, ...]:
    """Return the videos of a data set: each folder of samples is one.

    Frames are ordered by the numbers in their names, so that `f2` comes before `f10`.
    """
    folders: dict[str, list[Sample]] = {}
    for sample in dataset.samples:
        folders.setdefault(sample.name.rpartition("/")[0], []).append(sample)
    return tuple(
        Clip(name, tuple(sorted(samples, key=lambda sample: _order(sample.name))))
        for name, samples in folders.items()
    )


def _order(name: str) -> list[tuple[int, str]]:
    """What names are sorted by: numbers by value, everything else as text."""
    parts = _DIGITS.split(name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
