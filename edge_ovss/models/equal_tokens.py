"""Words whose tokens are equal: whatever the reason, the text tower cannot tell them apart."""

from __future__ import annotations

from collections.abc import Callable

from edge_ovss.models._open_clip import import_open_clip
from edge_ovss.models.spec import ModelSpec
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.alikes import alikes, likeness, named, reading, refuse_alikes

_FIRST_CHARACTERS = 1000


def refuse_equal_tokens(
    vocabulary: Vocabulary, spec: ModelSpec, note: Callable[[str], None]
) -> None:
    """Refuse two outputs all of whose words have equal tokens; say which first words have.

    The tokens tell more than the letters: words that differ behind the 77th token, or in what the
    tokenizer repairs, are equal too.

    Args:
        vocabulary: The words.
        spec: The model's templates, and how it takes synonyms.
        note: Called with the categories that the model encodes alike although other synonyms of
            theirs, which it leaves out, differ. Published lists hold such.

    Raises:
        VocabularyError: The message names both words and where they stand.
    """
    names = [name for category in vocabulary.categories for name in category.synonyms]
    tokens = _tokens(names, _shortest(spec.templates))
    refuse_alikes(vocabulary, tokens.__getitem__)
    if spec.synonyms == "first":
        for first, second in alikes(vocabulary, tokens.__getitem__, first_only=True):
            note(
                f"{named(vocabulary, second)} {likeness(vocabulary, first)}: "
                f"{spec.name} encodes the first synonym alone"
            )


def _shortest(templates: tuple[str, ...]) -> str:
    """Return the template that leaves most room for a word: what is equal in it is so in all."""
    return min(templates, key=lambda template: len(reading(template.partition("{}")[0])))


def _tokens(names: list[str], template: str) -> dict[str, tuple[int, ...]]:
    """Return the tokens of each name in a template, up to the first end token."""
    # The tokenizer needs the square of a word's length, and reads 77 tokens of it.
    prompts = {name: template.replace("{}", name[:_FIRST_CHARACTERS]) for name in names}
    rows = import_open_clip().tokenize(list(prompts.values()))
    ends = rows.argmax(-1).tolist()
    return {
        name: tuple(row[: end + 1])
        for name, row, end in zip(prompts, rows.tolist(), ends, strict=True)
    }
