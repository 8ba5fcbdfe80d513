"""Vocabularies: ordered categories with synonyms, colors and outputs, and text embeddings.

Terms used everywhere: a *category* is one row of the text embeddings (T of them), an *output* is
one value of the label map (K of them). Usually they are the same; many categories may share one
output. Nothing here imports torch.
"""

from __future__ import annotations

from edge_ovss.vocabulary.builtin import builtin_about, builtin_names
from edge_ovss.vocabulary.embeddings import TextEmbeddings
from edge_ovss.vocabulary.linting import Finding, lint
from edge_ovss.vocabulary.vocabulary import Category, Vocabulary

__all__ = [
    "Category",
    "Finding",
    "TextEmbeddings",
    "Vocabulary",
    "builtin_about",
    "builtin_names",
    "lint",
]
