"""Build a vocabulary from its entries: output indices, and colors where none are given."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.palette import Color, generated_colors
from edge_ovss.vocabulary.vocabulary import Category, Vocabulary, check_color
from edge_ovss.vocabulary.words import (
    MOST_CATEGORIES,
    check_count,
    check_name,
    first_repetition,
    located,
    refuse_repetition,
    short,
    split_synonyms,
)

# Looking for close names compares every letter with every other one.
_MOST_COMPARED = 100_000
_BLACK: Color = (0, 0, 0)

BACKGROUND = "background"
"""Name of the output that background words make together."""


@dataclass(frozen=True)
class CategoryEntry:
    """One category as written in its source.

    Attributes:
        place: Its place in the source ("line 3"), for messages.
        text: The published string.
        synonyms: The names that are encoded.
        output: Name of its output; None is an output of its own, named like the category.
        color: Color of its output, if the source gives one here.
    """

    place: str
    text: str
    synonyms: tuple[str, ...]
    output: str | None = None
    color: Color | None = None

    @property
    def output_name(self) -> str:
        """Name of the output it maps to."""
        return self.text if self.output is None else self.output


@dataclass(frozen=True)
class OutputEntry:
    """One label value as written in its source; the color None is generated."""

    name: str
    color: Color | None = None


def entries_from_names(names: Sequence[str]) -> list[CategoryEntry]:
    """Return one entry for each published string.

    Raises:
        VocabularyError: `names` is one string, or contains something else than strings.
    """
    if isinstance(names, (str, bytes)):
        message = f"The names are one string, {short(names)}; expected a sequence of strings."
        raise VocabularyError(message, hint='Write ["road", "car"], or use Vocabulary.load.')
    check_count(len(names), MOST_CATEGORIES, "categories")
    entries = []
    for index, text in enumerate(names):
        check_name(text, f"Category {index}")
        entries.append(CategoryEntry(f"category {index}", str(text), split_synonyms(text)))
    return entries


def assemble(
    entries: Sequence[CategoryEntry],
    *,
    name: str,
    outputs: Sequence[OutputEntry] | None = None,
    background: str | None = None,
) -> Vocabulary:
    """Return the vocabulary that `entries` describe, in their order.

    Args:
        entries: The categories.
        name: Name of the vocabulary.
        outputs: The label values in index order; None takes them in the order of first mention.
        background: Name of the output that is the background.

    Raises:
        VocabularyError: Class names cannot be used; the message says which and where.
    """
    check_count(len(entries), MOST_CATEGORIES, "categories")
    _refuse_repeated_entries(entries)
    if outputs is None:
        outputs = [
            OutputEntry(text) for text in dict.fromkeys(entry.output_name for entry in entries)
        ]
    index_of = {output.name: index for index, output in enumerate(outputs)}
    numbers = [_output_index(entry, index_of) for entry in entries]
    colors = _colors(entries, numbers, outputs)
    categories = []
    for entry, number in zip(entries, numbers, strict=True):
        with located(_capital(entry.place)):
            categories.append(
                Category(entry.text, entry.synonyms, colors[number], number, entry.place)
            )
    if background is not None and background not in index_of:
        message = f"The background is {short(background)}, which is no output."
        raise VocabularyError(message, hint=_close(background, index_of))
    return Vocabulary(
        name=name,
        categories=tuple(categories),
        outputs=tuple(output.name for output in outputs),
        background=None if background is None else index_of[background],
    )


def with_background(vocabulary: Vocabulary, words: Sequence[str]) -> Vocabulary:
    """Return a vocabulary with one more output, the last one, for all background words.

    Args:
        vocabulary: Without a background of its own.
        words: Published strings; ", " (or ";") separates synonyms.

    Raises:
        VocabularyError: There is a background already, or words cannot be used.
    """
    _require_room(vocabulary, words)
    taken = {each.color for each in vocabulary.categories}
    color = _BLACK if _BLACK not in taken else generated_colors(1, avoid=taken)[0]
    added = []
    for index, text in enumerate(words):
        place = f"background word {index}"
        check_name(text, _capital(place))
        added.append(Category(text, split_synonyms(text), color, len(vocabulary.outputs), place))
    categories = (*vocabulary.categories, *added)
    repeated = first_repetition([each.synonyms for each in categories])
    if repeated:
        here = repeated[0]
        first, second = (categories[index] for index in repeated)
        refuse_repetition(first.place or f"category {here}", _capital(second.place), second.text)
    outputs = (*vocabulary.outputs, BACKGROUND)
    return Vocabulary(vocabulary.name, categories, outputs, background=len(outputs) - 1)


def _require_room(vocabulary: Vocabulary, words: Sequence[str]) -> None:
    """Check that there are words, and no background yet.

    Raises:
        VocabularyError: There is one, or a class has its name.
    """
    if isinstance(words, (str, bytes)) or not words:
        message = f"The background is {short(words)}; expected at least one word."
        raise VocabularyError(message, hint='For example --background "sky, building, tree".')
    if vocabulary.background is not None:
        name = vocabulary.outputs[vocabulary.background]
        message = f"'{vocabulary.name}' has a background already, {short(name)}."
        raise VocabularyError(message, hint="Give background words in one place only.")
    if BACKGROUND in (name.strip().casefold() for name in vocabulary.outputs):
        message = f"'{vocabulary.name}' has a class {BACKGROUND!r}, as the background is called."
        raise VocabularyError(message, hint="Remove it: background words make that output.")


def _refuse_repeated_entries(entries: Sequence[CategoryEntry]) -> None:
    repeated = first_repetition([entry.text for entry in entries])
    repeated = repeated or first_repetition([entry.synonyms for entry in entries])
    if repeated:
        first, second = repeated
        place = _capital(entries[second].place)
        refuse_repetition(entries[first].place, place, entries[second].text)


def _output_index(entry: CategoryEntry, index_of: dict[str, int]) -> int:
    if entry.output_name not in index_of:
        message = (
            f"{_capital(entry.place)} ({short(entry.text)}) maps to the output "
            f"{short(entry.output_name)}, which is not among the outputs."
        )
        raise VocabularyError(message, hint=_close(entry.output_name, index_of))
    return index_of[entry.output_name]


def _colors(
    entries: Sequence[CategoryEntry], numbers: Sequence[int], outputs: Sequence[OutputEntry]
) -> list[Color]:
    """Return one color per output: its own, else that of its categories, else generated."""
    given = {index: each.color for index, each in enumerate(outputs) if each.color is not None}
    for entry, number in zip(entries, numbers, strict=True):
        if entry.color is None:
            continue
        check_color(entry.color, f"{entry.place} ({short(entry.text)})")
        if given.setdefault(number, entry.color) != entry.color:
            message = (
                f"{_capital(entry.place)} ({short(entry.text)}) gives the output "
                f"{short(outputs[number].name)} the color {list(entry.color)}, "
                f"which has {list(given[number])} already."
            )
            raise VocabularyError(message, hint="A color belongs to an output: give one.")
    missing = [index for index in range(len(outputs)) if index not in given]
    fresh = generated_colors(len(missing), avoid=set(given.values()))
    given.update(zip(missing, fresh, strict=True))
    return [given[index] for index in range(len(outputs))]


def _close(name: str, known: Sequence[str] | dict[str, int]) -> str:
    if len(known) * len(name) > _MOST_COMPARED:
        return "Name it under [[output]]."
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"Did you mean {', '.join(near)}?" if near else "Name it under [[output]]."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
