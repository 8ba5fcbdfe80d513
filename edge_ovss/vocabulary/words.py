"""Split published strings into synonyms, and check names."""

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
# Far above any list, and small enough that no check takes long. Categories may share an output,
# so there may be more of them than a label of 16 bits has values.
MOST_CATEGORIES = 2**17
MOST_SYNONYMS = 1000
MOST_CHARACTERS = 10_000  # of one synonym
MOST_TEXT = 2**20  # characters of all synonyms of a category together
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
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


def short(value: object, most: int = 80) -> str:
    """Return how Python writes a value, cut so that a message can be read."""
    text = repr(value[: most + 1] if isinstance(value, str) else value)
    return text if len(text) <= most else f"{text[:most]}…"


def check_name(value: object, what: str, *, most: int = MOST_TEXT) -> None:
    """Check one name: text of at most `most` characters, not blank, that UTF-8 can hold.

    Raises:
        VocabularyError: It is not; the message begins with `what`.
    """
    if not isinstance(value, str):
        message = f"{what} is {short(value)} ({type(value).__name__}); expected text."
        raise VocabularyError(message)
    if len(value) > most:
        message = f"{what} has {len(value)} characters; expected at most {most}."
        raise VocabularyError(message, hint="Give one category a line.")
    if not value.strip():
        message = f"{what} is {short(value)}: empty, or only white space."
        raise VocabularyError(message, hint="Give every category a name, or remove it.")
    if _NO_TEXT.search(value):
        message = f"{what} is {short(value)}, which contains characters that are not text."
        raise VocabularyError(message)


def check_count(count: int, most: int, what: str) -> None:
    """Check how many there are of something, before work is done on each.

    Raises:
        VocabularyError: More than `most`.
    """
    if count > most:
        message = f"There are {count} {what}; expected at most {most}."
        raise VocabularyError(message)


@contextmanager
def located(place: str) -> Iterator[None]:
    """Prefix the message of a VocabularyError raised inside with `place`."""
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
    message = f"{second} is {short(name)}, which {first} is already."
    raise VocabularyError(message, hint="Remove one: two equal categories share every pixel.")


def digest(document: object) -> str:
    """Return the SHA-256 (hexadecimal) of `document` as canonical JSON.

    Canonical is: keys sorted, no white space, everything outside ASCII escaped.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
