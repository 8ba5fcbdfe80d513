"""Class names with equal tokens, which the text tower cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.spec import ModelSpec
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.alikes import alikes, likeness, named, refuse_alikes
from edge_ovss.words.prompts import encoded_names, room_for, roomiest


def refuse_equal_tokens(
    vocabulary: Vocabulary, spec: ModelSpec, note: Callable[[str], None]
) -> None:
    """Refuse two outputs all of whose names have equal tokens.

    Comparing letters is not enough: names that differ only after the 77th token, or in what the
    tokenizer repairs, have equal tokens too.

    Args:
        vocabulary: The categories.
        spec: The model's templates, and what it encodes of a category.
        note: Called for categories whose synonyms differ, but not in what the model encodes of
            them. Published vocabularies contain some.

    Raises:
        VocabularyError: The message names both categories and where they stand.
    """
    names = {
        name
        for category in vocabulary.categories
        for name in (*category.synonyms, *encoded_names(category, spec.synonyms))
    }
    tokens = _tokens(sorted(names), roomiest(spec.templates))
    refuse_alikes(vocabulary, tokens.__getitem__)
    if spec.synonyms == "average":
        return
    encoded = partial(encoded_names, synonyms=spec.synonyms)
    only = {"first": "the first synonym alone", "whole": "the text as it is written"}[spec.synonyms]
    for first, second in alikes(vocabulary, tokens.__getitem__, encoded=encoded):
        note(
            f"{named(vocabulary, second)} {likeness(vocabulary, first)}: {spec.name} encodes {only}"
        )


def _tokens(names: list[str], template: str) -> dict[str, tuple[int, ...]]:
    """Return the tokens of each name in a template, up to the first end token."""
    prompts = {name: template.replace("{}", room_for(name)) for name in names}
    rows = import_open_clip().tokenize(list(prompts.values()))
    ends = rows.argmax(-1).tolist()
    return {
        name: tuple(row[: end + 1])
        for name, row, end in zip(prompts, rows.tolist(), ends, strict=True)
    }
