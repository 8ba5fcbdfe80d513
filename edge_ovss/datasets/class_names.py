"""Read the category names of a data set from a text file."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path

from edge_ovss._text_list import ListLine, read_text_list
from edge_ovss.errors import InputError


def plain(name: str) -> str:
    """Return a name in the form used for comparison: NFC, case-folded, stripped."""
    return unicodedata.normalize("NFC", name.strip().casefold())


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read one name per line, by the rules of `read_text_list`; the first name is category 0.

    A blank line before the last name is rejected: it may stand for an unused category, and every
    number after it would shift.

    Raises:
        InputError: The file cannot be read, has no names, or two equal ones.
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
                f"{first.number} '{first.text.strip()}'; the two names are equal."
            )
            hint = "Case is ignored. Rename one of them."
            raise InputError(message, hint=hint)
