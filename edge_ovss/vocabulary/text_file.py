"""Read a vocabulary from text, one category per line."""

from __future__ import annotations

from edge_ovss._text_list import ListLine, list_entries
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.assembly import CategoryEntry, assemble
from edge_ovss.vocabulary.vocabulary import MOST_OUTPUTS, Vocabulary
from edge_ovss.vocabulary.words import check_name, located, split_synonyms


def parse_text(text: str, *, name: str) -> Vocabulary:
    """Read a vocabulary of one category per line.

    `window; windowpane`, or `window, windowpane` as published, are synonyms. `list_entries` defines
    line ends, comments and blank lines.

    Args:
        text: The content of the file.
        name: Name of the vocabulary.

    Raises:
        VocabularyError: The message names the line, counted from 1.
    """
    lines = list_entries(text, blank_lines=False, error=VocabularyError)
    if not lines:
        message = "It has no categories; expected one per line."
        raise VocabularyError(message)
    if len(lines) > MOST_OUTPUTS:
        message = f"It has {len(lines)} lines; expected at most {MOST_OUTPUTS}."
        raise VocabularyError(message)
    entries = [CategoryEntry(f"line {each.number}", each.text, _synonyms(each)) for each in lines]
    return assemble(entries, name=name)


def _synonyms(line: ListLine) -> tuple[str, ...]:
    with located(f"Line {line.number}"):
        check_name(line.text, "The category")
    return split_synonyms(line.text)
