"""The values of each setting that are tried, and their combinations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edge_ovss.tune.candidate import (
    REJECT,
    SIZE,
    SLOTS,
    Candidate,
)
from edge_ovss.tune.ranking import WORTH
from edge_ovss.tune.rows import Row

STEP = 32
MOST_SIZES = 6
MOST_COMBINED = 16

# A setting is worth combining if it takes at most this part of the time, memory or disk.
_FASTER, _SMALLER = 1 / WORTH, 0.9
# Values of one setting that are combined with others.
_LEVELS = {SIZE: MOST_SIZES}
_OTHER_LEVELS = 2
# Points by which a sum of drops on few images may be wrong.
_DOUBT = 1.0


@dataclass(frozen=True)
class Space:
    """The values that are tried, besides those of the default export.

    Attributes:
        levels: Values by axis.
        pairs: Settings that only pay together, such as FP16 on a GPU.
    """

    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pairs: tuple[Candidate, ...] = ()

    def singles(self) -> Iterator[Candidate]:
        """Yield candidates that differ from the default export in one setting, and the pairs."""
        for axis, values in self.levels.items():
            for value in values:
                yield Candidate({axis: value})
        yield from self.pairs


def smaller_sizes(height: int, width: int) -> tuple[str, ...]:
    """Return sizes down to half of a size: multiples of 32 that keep the aspect, large to small."""
    short, long = sorted((height, width))
    sides = [side for side in range(STEP, short, STEP) if 2 * side >= short]
    step = math.ceil(len(sides) / MOST_SIZES) if sides else 1
    found = []
    for side in sorted(sides[::step], reverse=True):
        other = max(STEP, STEP * round(side * long / short / STEP))
        found.append(f"{side}x{other}" if height <= width else f"{other}x{side}")
    return tuple(found)


def measured_slots(counts: Sequence[int], slots: Sequence[int], *, least: int) -> str | None:
    """Return the fewest slots for the counts of images; None if they are what there is.

    Args:
        counts: The most categories that passed each rejection.
        slots: The slots of the default export, all of them enough.
        least: The fewest that there may be (k of the rejection).
    """
    needed = [max(least, *counts[place:]) for place in range(len(counts))]
    wanted = [min(need, slot) for need, slot in zip(needed, slots, strict=True)]
    return None if wanted == list(slots) else ",".join(map(str, wanted))


def combinations(
    rows: Sequence[Row], *, limit: float | None, most: int = MOST_COMBINED
) -> list[Candidate]:
    """Return combinations of settings that help, those first that promise to be fastest.

    Without a limit those come before them that promise to lose least at their speed.

    Args:
        rows: Measurements of candidates that differ in one setting, and of pairs.
        limit: Points of mIoU that may be lost; None for no limit.
        most: How many to return.
    """
    useful = _useful(rows, limit)
    choices = [[None, *levels] for levels in useful.values()]
    found: dict[Candidate, tuple[float, float]] = {}
    for chosen in itertools.product(*choices):
        parts = [row for row in chosen if row is not None]
        whole = Candidate({k: v for row in parts for k, v in row.candidate.settings.items()})
        twice = sum(len(row.candidate.settings) for row in parts) > len(whole.settings)
        if len(parts) < 2 or twice or _contradicts(whole):
            continue
        drop = sum(max(0.0, row.drop or 0.0) for row in parts)
        if limit is None or drop <= limit + _DOUBT:
            found[whole] = (round(math.prod(row.ratio for row in parts), 6), drop)
    order = sorted(found, key=lambda candidate: found[candidate])
    if limit is None:
        best = itertools.accumulate((found[each][1] for each in order), min, initial=math.inf)
        gains = {e for e, before in zip(order, best, strict=False) if found[e][1] < before}
        order.sort(key=lambda candidate: candidate not in gains)
    return order[:most]


def _useful(rows: Sequence[Row], limit: float | None) -> dict[str, list[Row]]:
    default = next(row for row in rows if not row.candidate.settings)
    axes: dict[str, list[Row]] = {}
    for row in rows:
        if row.error is not None or not row.candidate.settings or not _helps(row, default):
            continue
        if limit is not None and row.least_drop is not None and row.least_drop > limit:
            continue
        axes.setdefault(next(iter(row.candidate.settings)), []).append(row)
    return {
        axis: sorted(found, key=lambda row: row.ratio)[: _LEVELS.get(axis, _OTHER_LEVELS)]
        for axis, found in axes.items()
    }


def _helps(row: Row, default: Row) -> bool:
    if row.ratio < _FASTER:
        return True
    sizes = ("peak_mib", "bundle_mib")
    parts = [(row.found.get(name), default.found.get(name)) for name in sizes]
    # What is slower is not worth less memory: only an equal time is.
    smaller = any(own and other and own < _SMALLER * other for own, other in parts)
    return smaller and row.ratio < 1 / _FASTER


def _contradicts(candidate: Candidate) -> bool:
    chosen = candidate.settings
    return REJECT in chosen and SLOTS in chosen
