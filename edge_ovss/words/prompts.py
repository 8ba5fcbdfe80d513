"""What torch and the tower without torch do alike: the names of a class, batches of prompts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ovss.vocabulary import Category
from edge_ovss.vocabulary.alikes import reading

LEARNED = "learned"
"""What templates are called where the prompt is learned: there is no tower without torch then."""

# Tokens in a batch: enough rows for the matrix products, few enough for the cache.
_BATCH_TOKENS = 1536
_FIRST_CHARACTERS = 1000


def encoded_names(category: Category, synonyms: str) -> tuple[str, ...]:
    """Return the names of a class that a model encodes and averages.

    Args:
        category: The class.
        synonyms: "average" for all synonyms, "first", or its text as a "whole".
    """
    if synonyms == "whole":
        return (category.text.strip(),)
    return category.synonyms[:1] if synonyms == "first" else category.synonyms


def roomiest(templates: Sequence[str]) -> str:
    """Return the template with most room for a name: names equal in it are equal in all."""
    return min(templates, key=lambda template: len(reading(template.partition("{}")[0])))


def room_for(name: str) -> str:
    """Return all of a name that 77 tokens can hold.

    open_clip's tokenizer takes time with the square of a name's length.
    """
    return name[:_FIRST_CHARACTERS]


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
