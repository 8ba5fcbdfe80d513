"""What torch and the tower without torch do alike: the names of a class, batches of prompts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_ovss.vocabulary import Category

# Tokens in a batch: enough rows for the matrix products, few enough for the cache.
_BATCH_TOKENS = 1536


def encoded_names(category: Category, synonyms: str) -> tuple[str, ...]:
    """Return the names of a class that a model encodes and averages.

    Args:
        category: The class.
        synonyms: "average" for all synonyms, "first", or its text as a "whole".
    """
    if synonyms == "whole":
        return (category.text.strip(),)
    return category.synonyms[:1] if synonyms == "first" else category.synonyms


def batches_by_length(tokens: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Yield rows of like length, and how many tokens of them are to be read.

    A text tower is causal and its feature is read at the end token, so nothing after the longest
    end token of a batch has to be computed.

    Args:
        tokens: int64 [N, L].
    """
    # The end token has the largest id, so its position is the argmax.
    lengths = tokens.argmax(-1) + 1
    order = lengths.argsort(kind="stable")
    start = 0
    while start < len(order):
        size = max(1, _BATCH_TOKENS // int(lengths[order[start]]))
        rows = order[start : start + size]
        yield rows, int(lengths[rows[-1]])
        start += size
