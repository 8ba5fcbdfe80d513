"""Lists of words that change: one that is given, words that are added, words that are removed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary import Vocabulary, builtin_names
from edge_ovss.vocabulary.alikes import reading, refuse_alikes
from edge_ovss.vocabulary.assembly import CategoryEntry, OutputEntry, assemble
from edge_ovss.vocabulary.words import short

# "words.txt", also misspelled; but not "St. Bernard" and "U.S. flag".
_FILE_ENDING = re.compile(r"\.[^\W\d]\w*\s*$")


def read_words(given: str | os.PathLike[str]) -> Vocabulary:
    """Return words as `Vocabulary.load` does; a single word needs no comma.

    Raises:
        VocabularyError: There are none, they cannot be used, or two read the same.
    """
    if isinstance(given, str) and not given.strip():
        message = "The list of words is empty; expected at least one word."
        raise VocabularyError(message, hint='For example "forklift; lift truck, crane".')
    if isinstance(given, str) and is_single_word(given):
        vocabulary = Vocabulary.from_names([given.strip()])
    else:
        vocabulary = Vocabulary.load(given)
    refuse_alikes(vocabulary)
    return vocabulary


def is_single_word(given: str) -> bool:
    """Say whether text is one word, and neither a list, nor a file, nor the name of a list."""
    path_like = any(mark in given for mark in ("/", os.sep)) or _FILE_ENDING.search(given)
    return "," not in given and given not in builtin_names() and not path_like


def add_words(vocabulary: Vocabulary, added: Vocabulary) -> Vocabulary:
    """Return a vocabulary with more words behind its own; a color that is taken changes.

    Raises:
        VocabularyError: A word is there already, or reads like one.
    """
    taken = {category.color for category in vocabulary.categories}
    fresh = []
    for entry in _entries(added):
        color = None if entry.color in taken else entry.color
        fresh.append(CategoryEntry(entry.place, entry.text, entry.synonyms, entry.output, color))
    outputs = list(map(OutputEntry, dict.fromkeys((*vocabulary.outputs, *added.outputs))))
    found = assemble(
        [*_entries(vocabulary), *fresh],
        name=vocabulary.name,
        outputs=outputs,
        background=_background(vocabulary),
    )
    refuse_alikes(found)
    return found


def remove_words(vocabulary: Vocabulary, names: Sequence[str]) -> Vocabulary:
    """Return a vocabulary without some words.

    Args:
        vocabulary: The words.
        names: Each a word as it is listed, its first name, or an output with all its words.

    Raises:
        VocabularyError: A name is none of them, or no word is left.
    """
    gone: set[int] = set()
    for name in names:
        wanted = reading(name)
        found = {
            index
            for index, each in enumerate(vocabulary.categories)
            if wanted
            in (
                reading(each.text),
                reading(each.synonyms[0]),
                reading(vocabulary.outputs[each.output]),
            )
        }
        if not found or not wanted:
            message = f"There is no word {short(name)} to remove from '{vocabulary.name}'."
            raise VocabularyError(message, hint="See the words: edge-ovss words BUNDLE list")
        gone |= found
    entries = [e for place, e in enumerate(_entries(vocabulary)) if place not in gone]
    if not entries:
        message = "No word would be left; expected at least one."
        raise VocabularyError(message, hint="Give other words with --set.")
    named = {entry.output_name for entry in entries}
    outputs = [OutputEntry(name) for name in vocabulary.outputs if name in named]
    background = _background(vocabulary)
    return assemble(
        entries,
        name=vocabulary.name,
        outputs=outputs,
        background=background if background in named else None,
    )


def _background(vocabulary: Vocabulary) -> str | None:
    return None if vocabulary.background is None else vocabulary.outputs[vocabulary.background]


def _entries(vocabulary: Vocabulary) -> list[CategoryEntry]:
    return [
        CategoryEntry(
            each.place or f"word {index}",
            each.text,
            each.synonyms,
            vocabulary.outputs[each.output],
            each.color,
        )
        for index, each in enumerate(vocabulary.categories)
    ]
