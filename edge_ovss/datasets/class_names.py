"""The names of a data set's categories, from a text file."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from edge_ovss._text_list import ListLine, read_text_list
from edge_ovss.errors import InputError


def plain(name: str) -> str:
    """Return a name as it is compared: composed, without regard to case and white space around."""
    return unicodedata.normalize("NFC", name.strip().casefold())


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read one name per line, by the rules of all text lists; line 1 is category 0.

    Comments do not count, and a blank line before the last name is refused: it may stand for a
    category that is not used, and every number behind it would move.

    Raises:
        InputError: The file cannot be read, holds no names, or two that are the same word.
    """
    lines = read_text_list(path, blank_lines=False)
    if not lines:
        message = f"Category names '{path}' are empty; expected one per line."
        raise InputError(message)
    _refuse_repetition(path, lines)
    return tuple(line.text.strip() for line in lines)


def _refuse_repetition(path: Path, lines: Sequence[ListLine]) -> None:
    seen: dict[str, ListLine] = {}
    for line in lines:
        first = seen.setdefault(plain(line.text), line)
        if first is not line:
            message = (
                f"Category names '{path}': line {line.number} is '{line.text.strip()}', and line "
                f"{first.number} '{first.text.strip()}'; both would be the same word."
            )
            hint = "Case does not count. Give one of them another name."
            raise InputError(message, hint=hint)
