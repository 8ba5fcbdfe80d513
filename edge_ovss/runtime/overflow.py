"""Slots that were too few for the categories in a frame."""

from __future__ import annotations

from collections.abc import Sequence


def enough_slots(counts: Sequence[int], slots: Sequence[int]) -> list[int]:
    """Return slots that certainly suffice for `counts`.

    Counts after an overflow are of what the slots let through, so the true ones may be larger;
    they cannot be larger than the count that overflowed.

    Args:
        counts: The categories that wanted to stay at each rejection, as in `Result.counts`.
        slots: The slots of the bundle, in the same order.
    """
    enough: list[int] = []
    bound = 0
    for count, slot in zip(counts, slots, strict=False):
        bound = max(bound, count if count > slot else 0)
        enough.append(max(slot, bound))
    return enough
