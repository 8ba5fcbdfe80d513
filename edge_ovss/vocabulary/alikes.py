"""Find categories that the text tower cannot tell apart.

CLIP's tokenizer ignores case, white space, how a letter is composed, and HTML entities. If two
categories read the same, one of them can never be predicted.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from math import gcd

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.vocabulary import Category, Vocabulary
from edge_ovss.vocabulary.words import short

# How CLIP splits a text into pieces, which are encoded one by one.
_PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")
_QUOTES = str.maketrans("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f", "''''\"\"\"\"")


def reading(name: str) -> tuple[str, ...]:
    """Return what CLIP's tokenizer distinguishes in a name: equal readings have equal tokens.

    Names with different readings may still have equal tokens: beyond 77 tokens, or where the
    tokenizer repairs broken text.
    """
    plain = html.unescape(html.unescape(unicodedata.normalize("NFC", name).translate(_QUOTES)))
    return tuple(_PIECES.findall(" ".join(plain.split()).lower()))


def alikes(
    vocabulary: Vocabulary,
    read: Callable[[str], Hashable] = reading,
    *,
    encoded: Callable[[Category], Sequence[str]] = lambda category: category.synonyms,
) -> Iterator[tuple[int, int]]:
    """Yield pairs of categories (earlier, later) whose text embeddings are equal.

    Args:
        vocabulary: The categories.
        read: From a name to what the text tower reads of it.
        encoded: From a category to the names that are encoded and averaged.
    """
    seen: dict[Hashable, int] = {}
    for index, category in enumerate(vocabulary.categories):
        first = seen.setdefault(_mixture([read(name) for name in encoded(category)]), index)
        if first != index:
            yield first, index


def _mixture(readings: list[Hashable]) -> Hashable:
    """Return the shares of the readings: the average of embeddings depends on nothing else."""
    counts = Counter(readings)
    least = gcd(*counts.values())
    return frozenset((each, count // least) for each, count in counts.items())


def likeness(vocabulary: Vocabulary, first: int) -> str:
    """Return the text about a category that reads like the category `first`."""
    return f"reads the same to the text tower as {named(vocabulary, first)}"


def named(vocabulary: Vocabulary, index: int) -> str:
    """Return the place of a category in its source, and its text."""
    category = vocabulary.categories[index]
    return f"{category.place or f'category {index}'} ({short(category.text)})"


def share_output(vocabulary: Vocabulary, first: int, second: int) -> bool:
    """Return whether two categories have the same output, so that either may be predicted."""
    return vocabulary.categories[first].output == vocabulary.categories[second].output


def refuse_alikes(vocabulary: Vocabulary, read: Callable[[str], Hashable] = reading) -> None:
    """Refuse two categories that read the same, unless they have the same output.

    Raises:
        VocabularyError: The message names both and where they stand.
    """
    for first, second in alikes(vocabulary, read):
        if not share_output(vocabulary, first, second):
            message = (
                f"{named(vocabulary, second)} {likeness(vocabulary, first)}; "
                "one of them can never be predicted."
            )
            hint = "Remove one of them: case, white space and composed letters make no difference."
            raise VocabularyError(message[:1].upper() + message[1:], hint=hint)
