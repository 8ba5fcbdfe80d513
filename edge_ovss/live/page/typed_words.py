"""Words as they are typed into the page: a list, and never a file, a pack or the name of a list."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import replace

from edge_ovss.bundle.words.section import OpenInfo
from edge_ovss.errors import UsageError, VocabularyError
from edge_ovss.vocabulary import Vocabulary
from edge_ovss.vocabulary.alikes import refuse_alikes
from edge_ovss.vocabulary.assembly import CategoryEntry, assemble, entries_from_names
from edge_ovss.vocabulary.linting import Finding, fresh_warnings
from edge_ovss.vocabulary.words import short
from edge_ovss.words.editing import is_single_word

HOW = "Separate words by commas, and names of the same word by semicolons: road, car; automobile."
_MOST_WARNINGS = 10
_LINE_ENDS = re.compile(r",?\s*[\r\n]\s*")
_QUOTES = "\"'`\u2018\u2019\u201c\u201d[{"


def typed_words(text: str, info: OpenInfo, known: Iterable[Vocabulary]) -> Vocabulary:
    """Return the words of a typed list; a line end separates words as a comma does.

    Words that one of the lists `known` has keep its color.

    Raises:
        VocabularyError: There is no word, an empty one, two that read the same, or one that cannot
            be used.
        UsageError: There are more words than places.
    """
    names = [name.strip() for name in _LINE_ENDS.sub(",", text.strip()).split(",")]
    if len(names) > 1 and not names[-1]:
        names.pop()  # a comma at the end
    if names == [""]:
        message = "There are no words; expected at least one."
        raise VocabularyError(message, hint=HOW)
    if len(names) > info.places:  # said before anything is done with so many
        message = f"There are {len(names)} words, and the bundle has {info.places} places."
        raise UsageError(message, hint="Remove some.")
    for number, name in enumerate(names, 1):
        _check(number, name)
    entries = [
        replace(entry, place=f"word {number}")
        for number, entry in enumerate(entries_from_names(names), 1)
    ]
    words = assemble(_colored(entries, known), name="custom")
    refuse_alikes(words)
    return words


def _check(number: int, name: str) -> None:
    if not all(part.strip() for part in name.split(";")):
        what = "has an empty name" if name else "is empty"
        message = f"Word {number} {what}; expected a name between two separators."
        raise VocabularyError(message, hint=HOW)
    if name[0] in _QUOTES:
        message = f"Word {number} is {short(name)}; expected names without quotation marks."
        raise VocabularyError(message, hint=HOW)


def _colored(entries: list[CategoryEntry], known: Iterable[Vocabulary]) -> list[CategoryEntry]:
    """Return the entries with the colors that known words of the same names have, each once."""
    colors = {each.synonyms: each.color for words in known for each in words.categories}
    taken: set[object] = set()
    found = []
    for entry in entries:
        color = colors.get(entry.synonyms)
        found.append(entry if color in taken else replace(entry, color=color))
        taken.add(color)
    return found


def text_of(words: Vocabulary) -> str:
    """Return the list that is typed to have these words."""
    return ", ".join("; ".join(name.strip() for name in each.synonyms) for each in words.categories)


def is_plain(words: Vocabulary) -> bool:
    """Whether a typed list says everything: each word is a class, and none is the background."""
    own = len(words.outputs) == len(words.categories) and words.background is None
    return own and all("," not in name for each in words.categories for name in each.synonyms)


def warnings_of(words: Vocabulary, known: Vocabulary) -> list[str]:
    """Return what looks wrong with words that `known` does not have, one sentence each."""
    found = [_sentence(one) for one in fresh_warnings(words, known.prompts)]
    more = len(found) - _MOST_WARNINGS
    return [*found[:_MOST_WARNINGS], *([f"{more} more of such warnings."] if more > 0 else [])]


def _sentence(found: Finding) -> str:
    word = short(found.text)
    return found.message if found.message.startswith(word) else f"{word}: {found.message}"


def command_to_keep(bundle: str, words: Vocabulary) -> str | None:
    """Return the command that puts these words into the bundle on the disk.

    None where a list of one word would be read as the name of a file or of a built-in list.
    """
    text = text_of(words)
    if len(words) == 1 and not is_single_word(text):
        return None
    given = ["--set", text] if not text.startswith("-") else [f"--set={text}"]
    return shlex.join(["edge-ovss", "words", bundle, *given])
