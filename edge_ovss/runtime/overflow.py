"""More categories than slots: what a program can do, and how many slots would have sufficed."""

from __future__ import annotations

from collections.abc import Sequence

KEEP, RERUN = "keep", "rerun"
WARN = "warn"  # what the command line called "keep" first; both take either


def enough_slots(counts: Sequence[int], slots: Sequence[int]) -> list[int]:
    """Return slots that certainly suffice for `counts`.

    After an overflow, later counts cover only what the slots let through, so the true counts may
    be larger, but not larger than the count that overflowed.

    Args:
        counts: Categories that passed the threshold at each rejection, as in `Result.counts`.
        slots: The slots of the bundle, in the same order.
    """
    enough: list[int] = []
    bound = 0
    for count, slot in zip(counts, slots, strict=False):
        bound = max(bound, count if count > slot else 0)
        enough.append(max(slot, bound))
    return enough
