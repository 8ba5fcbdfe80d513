"""Choose the categories that stay at a rejection: a fixed number of slots, or all that are wanted.

Published category early rejection keeps the categories that are among the k highest of at least
one position (Xie et al., CVPR 2024, §3.4).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Finite, and finite in half precision too: below every score, above -inf.
_BELOW_ALL = -3.0e4


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
