"""The words of a graph: constants of it where they are frozen, inputs where it is open."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Words:
    """What a graph knows of its words.

    Attributes:
        text: Embeddings, float [n, P, D], or as the family computes with them.
        table: What each place stands for, float [n]; of an empty place, 0.
        present: float [n], 0 for an empty place; None where no place can be empty.
    """

    text: Tensor
    table: Tensor
    present: Tensor | None

    @classmethod
    def given(cls, text: Tensor, places: Tensor) -> Words:
        """Return the words of an open graph.

        Args:
            text: float [n, P, D].
            places: Output of each place, float [n]; −1 for an empty one.
        """
        present = (places >= 0).to(text.dtype)
        return cls(text, places.clamp(min=0), present)


def count_present(words: Words, stages: int) -> Tensor:
    """Return how many words there are, int32 [stages]."""
    if words.present is None:
        return torch.full((stages,), words.table.shape[0], dtype=torch.int32)
    return words.present.sum().to(torch.int32).expand(stages).clone()


def mark_empty(ids: Tensor, valid: Tensor | None) -> Tensor:
    """Return ids as int32 [S], −1 where nothing is."""
    if valid is None:
        return ids.to(torch.int32)
    return (ids.to(valid.dtype) * valid - (1 - valid)).to(torch.int32)
