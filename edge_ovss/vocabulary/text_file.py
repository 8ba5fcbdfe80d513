"""The text form: one category per line."""

from __future__ import annotations

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.assembly import Entry, assemble
from edge_ovss.vocabulary.vocabulary import Vocabulary
from edge_ovss.vocabulary.words import split_synonyms

MOST_LINES = 65535
_COMMENT = "#"


def parse_text(text: str, *, name: str) -> Vocabulary:
    """Read a vocabulary of one category per line.

    `window; windowpane`, or `window, windowpane` as published, are synonyms. A line that begins
    with `#` is a comment. Blank lines at the end are ignored; a blank line before a category is
    an error, since it may stand for a category and every index after it would move. Spaces
    are kept.

    Args:
        text: The content of the file.
        name: Name of the vocabulary.

    Raises:
        VocabularyError: The message names the line, counted from 1.
    """
    # Not splitlines(): characters such as U+2028 or a form feed do not end a line of the file.
    lines = text.replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if len(lines) > MOST_LINES:
        message = f"It has {len(lines)} lines; expected at most {MOST_LINES}."
        raise VocabularyError(message)
    entries = []
    last = max((number for number, line in _categories(lines)), default=0)
    for number, line in enumerate(lines[:last], 1):
        if not line.strip():
            message = f"Line {number} is blank, but categories follow it."
            hint = "Remove the line; a category cannot be empty, and indices are counted by line."
            raise VocabularyError(message, hint=hint)
        if not line.startswith(_COMMENT):
            entries.append(Entry(f"line {number}", line, split_synonyms(line)))
    if not entries:
        message = "It has no categories; expected one per line."
        raise VocabularyError(message)
    return assemble(entries, name=name)


def _categories(lines: list[str]) -> list[tuple[int, str]]:
    """Return the lines that are neither blank nor comments, with their numbers."""
    return [
        (number, line)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith(_COMMENT)
    ]
