"""How a published string becomes the names that are encoded, and what a name must be."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from edge_ovss.errors import VocabularyError

# One separator is exactly one comma or semicolon and one space: every other space belongs to a
# name and reaches the text tower ("cpu, c p u , mainframe" has the synonym "c p u ").
PUBLISHED_SEPARATOR = ", "
_FILE_SEPARATOR = re.compile("; ?")


def split_synonyms(text: str) -> tuple[str, ...]:
    """Split a published string into its synonyms, each kept exactly as written.

    `;` (and one space after it) separates them; a string without `;` is separated by comma +
    space, as the published lists are. The order is kept and nothing is stripped.
    """
    if ";" in text:
        return tuple(_FILE_SEPARATOR.split(text))
    return tuple(text.split(PUBLISHED_SEPARATOR))


def join_synonyms(synonyms: Sequence[str]) -> str:
    """Return a string that `split_synonyms` splits into `synonyms`, if there is one."""
    text = PUBLISHED_SEPARATOR.join(synonyms)
    return text if split_synonyms(text) == tuple(synonyms) else "; ".join(synonyms)


def check_name(value: object, what: str) -> None:
    """Check one name: text that is not blank and that UTF-8 can hold.

    Raises:
        VocabularyError: It is not; the message begins with `what`.
    """
    if not isinstance(value, str):
        message = f"{what} is {value!r} ({type(value).__name__}); expected text."
        raise VocabularyError(message)
    if not value.strip():
        message = f"{what} is {value!r}: empty, or nothing but white space."
        raise VocabularyError(message, hint="Give every category a name, or remove it.")
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        message = f"{what} is {value!r}, which holds characters that are no text."
        raise VocabularyError(message)


@contextmanager
def located(place: str) -> Iterator[None]:
    """Put `place` in front of the message of a VocabularyError raised inside."""
    try:
        yield
    except VocabularyError as err:
        message = f"{place}: {err.message}"
        raise VocabularyError(message, hint=err.hint) from err


def first_repetition(keys: Sequence[Hashable]) -> tuple[int, int] | None:
    """Return the positions of the first key that comes twice (first, second), or None."""
    seen: dict[Hashable, int] = {}
    for index, key in enumerate(keys):
        if key in seen:
            return seen[key], index
        seen[key] = index
    return None


def refuse_repetition(first: str, second: str, name: str) -> NoReturn:
    """Raise the error for a name that stands in two places.

    Raises:
        VocabularyError: Always.
    """
    message = f"{second} is {name!r}, which {first} is already."
    raise VocabularyError(message, hint="Remove one: two equal categories share every pixel.")


def digest(document: object) -> str:
    """Return the SHA-256 (hexadecimal) of `document` as canonical JSON.

    Canonical is: keys sorted, no white space, everything outside ASCII escaped.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
