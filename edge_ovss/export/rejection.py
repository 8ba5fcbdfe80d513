"""Category early rejection inside a graph: which categories stay, at fixed or at free size.

Published rejection keeps the categories that are among the k highest of at least one position
(SED, CVPR 2024, §3.4). `slots` gives them a fixed number of places, so that every shape of the
graph is known; `dynamic` lets the number of categories vary; `none` keeps all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edge_ovss.errors import UsageError

MODES = ("slots", "dynamic", "none")
STAGES = 3
DEFAULT_SLOTS = (64, 48, 32)
DEFAULT_TOPK = 8

# TensorRT's TopK takes at most this many (facts of TensorRT 10.3 to 11.4 and TensorRT for RTX).
MAX_TOPK = 3840

# Finite, and finite in half precision too: below every score, above -inf.
_BELOW_ALL = -3.0e4


@dataclass(frozen=True)
class Rejection:
    """How categories are rejected.

    Attributes:
        mode: One of `MODES`.
        topk: k of the published rejection.
        slots: Places after the first, second and third rejection (mode "slots" only).
    """

    mode: str = "slots"
    topk: int = DEFAULT_TOPK
    slots: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            message = f"--reject is '{self.mode}'; expected one of: {', '.join(MODES)}."
            raise UsageError(message)
        if self.topk < 1:
            message = f"--topk is {self.topk}; expected at least 1."
            raise UsageError(message, hint="The published value is --topk 8.")
        if self.slots is not None:
            self._check_slots(self.slots)

    def _check_slots(self, slots: tuple[int, int, int]) -> None:
        text = ",".join(str(s) for s in slots)
        if self.mode != "slots":
            message = f"--slots is {text} and --reject is {self.mode}."
            raise UsageError(message, hint="Slots go with --reject slots.")
        if len(slots) != STAGES:
            message = f"--slots is '{text}'; expected {STAGES} numbers, one for each rejection."
            raise UsageError(message, hint="For example --slots 64,48,32.")
        if min(slots) < self.topk:
            message = f"--slots is {text}; expected at least {self.topk} (--topk) each."
            raise UsageError(message, hint="One position alone keeps k categories.")
        if list(slots) != sorted(slots, reverse=True):
            message = f"--slots is {text}; slots must not grow from one rejection to the next."
            raise UsageError(message, hint="Order them from large to small.")
        if max(slots) > MAX_TOPK:
            message = f"--slots is {text}; TensorRT's TopK takes at most {MAX_TOPK}."
            raise UsageError(message)

    def fit(self, categories: int) -> Rejection:
        """Return this rejection for T categories: k at most T, defaults filled, slots at most T.

        Raises:
            UsageError: k was asked for above T.
        """
        if self.mode == "none":
            return Rejection("none", topk=min(self.topk, categories))
        if self.topk > categories and self.topk != DEFAULT_TOPK:
            message = f"--topk is {self.topk}, but the vocabulary has {categories} categories."
            raise UsageError(message, hint=f"Use --topk {categories} or less, or --reject none.")
        topk = min(self.topk, categories)
        if self.mode == "dynamic":
            return Rejection("dynamic", topk=topk)
        first, second, third = self.slots or tuple(max(s, topk) for s in DEFAULT_SLOTS)
        fitted = (min(first, categories), min(second, categories), min(third, categories))
        return Rejection("slots", topk=topk, slots=fitted)


@dataclass(frozen=True)
class Selection:
    """Who stays.

    Attributes:
        index: int64 [S]: places of the categories that stay, among those that were there before;
            ascending, empty slots last.
        valid: float [S]: 1 for a category, 0 for an empty slot; None where no slot is empty.
        wanted: int32 scalar: how many wanted to stay, before any lack of room.
    """

    index: Tensor
    valid: Tensor | None
    wanted: Tensor


def count_votes(scores: Tensor, *, topk: int, valid: Tensor | None) -> Tensor:
    """Count for every category the positions where it is among the `topk` highest.

    Args:
        scores: float [S, h, w].
        topk: At most S.
        valid: float [S], 0 for empty slots (they get no vote), or None.

    Returns:
        float [S].
    """
    s = scores.shape[0]
    by_position = scores.flatten(1).t()
    if valid is not None:
        by_position = by_position * valid + (1 - valid) * _BELOW_ALL
    highest = by_position.topk(topk, dim=1).indices
    # A comparison with every category instead of a scatter: TensorRT has no adding scatter.
    hits = highest.flatten().unsqueeze(1) == torch.arange(s, device=scores.device)
    votes = hits.to(scores.dtype).sum(0)
    return votes if valid is None else votes * valid


def select_slots(votes: Tensor, *, slots: int) -> Selection:
    """Give the categories with votes one of `slots` places each.

    Where there is too little room, the categories with the fewest votes have to leave, not those
    with the highest ids.

    Args:
        votes: float32 [S]; S·max(votes) must stay below 2^24 so that the ranking is exact.
        slots: At most S.
    """
    s = votes.shape[0]
    place = torch.arange(s, device=votes.device, dtype=votes.dtype)
    # Tie-free: runtimes order equal values differently.
    rank = votes * s + (s - 1 - place)
    best = rank.topk(slots, dim=0)
    valid = (best.values >= s).to(votes.dtype)
    chosen = best.indices.to(votes.dtype) + (1 - valid) * s
    order = chosen.topk(slots, dim=0, largest=False, sorted=True).indices
    wanted = (votes > 0).to(torch.int32).sum(dtype=torch.int32)
    return Selection(best.indices.index_select(0, order), valid.index_select(0, order), wanted)


def select_all_with_votes(votes: Tensor, *, topk: int) -> Selection:
    """Keep exactly the categories with votes; how many is known only at run time."""
    index = (votes > 0).nonzero()[:, 0]
    # One position alone votes for `topk` categories: the exporter cannot know, but may rely on it.
    torch._check(index.shape[0] >= topk)
    torch._check(index.shape[0] <= votes.shape[0])
    wanted = (votes > 0).to(torch.int32).sum(dtype=torch.int32)
    return Selection(index, None, wanted)
