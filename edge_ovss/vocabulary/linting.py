"""Report what looks like a mistake in a vocabulary; nothing is changed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from edge_ovss.vocabulary.alikes import alikes, likeness, reading, share_output
from edge_ovss.vocabulary.vocabulary import Category, Vocabulary
from edge_ovss.vocabulary.words import short

Level = Literal["note", "warning", "error"]

# CLIP's text tower reads 77 tokens; a template needs about 20 of them, a long word several.
MOST_CHARACTERS = 70


@dataclass(frozen=True)
class Finding:
    """Something that looks like a mistake.

    Attributes:
        level: "error" if `export` refuses it, "warning" if it may change labels, "note" if it
            probably does not.
        index: The category, counted from 0.
        text: Its published string.
        message: What was found.
    """

    level: Level
    index: int
    text: str
    message: str


def lint(vocabulary: Vocabulary) -> tuple[Finding, ...]:
    """Return what looks like a mistake, in the order of the categories."""
    read = cache(reading)
    pairs = list(alikes(vocabulary, read))
    findings = [
        *_each_category(vocabulary),
        *_alike(vocabulary, pairs),
        *_shared_synonyms(vocabulary, read, {second for _, second in pairs}),
        *_same_colors(vocabulary),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.index))


def fresh_warnings(vocabulary: Vocabulary, known: Collection[str]) -> list[Finding]:
    """Return the warnings of `lint` but for categories whose text is known."""
    return [
        finding
        for finding in lint(vocabulary)
        if finding.level == "warning" and finding.text not in known
    ]


def _each_category(vocabulary: Vocabulary) -> Iterator[Finding]:
    for index, category in enumerate(vocabulary.categories):
        for check in _CHECKS:
            for level, message in check(category):
                yield Finding(level, index, category.text, message)


Seen = Iterator[tuple[Level, str]]


def _stray_space(category: Category) -> Seen:
    for name in category.synonyms:
        if name != name.strip():
            yield "note", f"{short(name)} begins or ends with white space; the text tower drops it."
        if re.search(r"\s{2,}|[^\S ]", name.strip()):
            yield "note", f"{short(name)} has white space other than single spaces inside."


def _comma(category: Category) -> Seen:
    for name in category.synonyms:
        if re.search(r",\S|,$", name):
            yield (
                "warning",
                f"{short(name)} has a comma without a space after it: encoded as one name. "
                "Synonyms are separated by comma and space, or by ';'.",
            )


def _length(category: Category) -> Seen:
    for name in category.synonyms:
        if len(name) > MOST_CHARACTERS:
            yield (
                "warning",
                f"{name[:24]!r}... has {len(name)} characters; above {MOST_CHARACTERS} a prompt "
                "may not fit the 77 tokens of the text tower.",
            )


def _underscore(category: Category) -> Seen:
    for name in category.synonyms:
        if "_" in name:
            yield (
                "warning",
                f"{short(name)} has an underscore; the text tower knows words and spaces.",
            )


def _number(category: Category) -> Seen:
    if re.match(r"\d+\s*[:.,;|]\s*\D|\d+$", category.text.strip()):
        yield (
            "warning",
            f"{short(category.text)} begins with a number, as if it were an index; "
            "indices follow from the order.",
        )


def _strange_characters(category: Category) -> Seen:
    for name in category.synonyms:
        if any(unicodedata.category(char) in {"Cc", "Cf"} for char in name):
            yield "warning", f"{short(name)} contains control characters or invisible ones."
        elif not name.isascii():
            yield "note", f"{short(name)} has letters outside ASCII; the text tower learnt English."


def _own_repetition(category: Category) -> Seen:
    counts = Counter(_fold(name) for name in category.synonyms)
    for name, count in counts.items():
        if count > 1:
            yield "warning", f"the synonym {short(name)} occurs twice in this category."


_CHECKS: tuple[Callable[[Category], Seen], ...] = (
    _stray_space,
    _comma,
    _length,
    _underscore,
    _number,
    _strange_characters,
    _own_repetition,
)


def _alike(vocabulary: Vocabulary, pairs: list[tuple[int, int]]) -> Iterator[Finding]:
    """Report categories that the text tower cannot tell apart."""
    for first, second in pairs:
        same = share_output(vocabulary, first, second)
        end = "both are one output." if same else "one of them can never be predicted."
        message = f"{likeness(vocabulary, first)}; {end}"
        text = vocabulary.categories[second].text
        yield Finding("warning" if same else "error", second, text, message)


def _shared_synonyms(
    vocabulary: Vocabulary, read: Callable[[str], tuple[str, ...]], alike: set[int]
) -> Iterator[Finding]:
    """Find names that stand in two categories, but for those that are `alike` as a whole."""
    names: dict[tuple[str, ...], int] = {}
    for index, category in enumerate(vocabulary.categories):
        for key, name in {read(name): _fold(name) for name in category.synonyms}.items():
            owner = names.setdefault(key, index)
            if owner != index and index not in alike:
                other = vocabulary.categories[owner].text
                message = f"the synonym {short(name)} is also in category {owner} ({short(other)})."
                yield Finding("warning", index, category.text, message)


def _same_colors(vocabulary: Vocabulary) -> Iterator[Finding]:
    seen: dict[tuple[int, int, int], int] = {}
    for index, category in enumerate(vocabulary.categories):
        first = seen.setdefault(category.color, category.output)
        if first != category.output:
            message = f"the color {list(category.color)} is also that of output {first}."
            yield Finding("note", index, category.text, message)


def _fold(text: str) -> str:
    return " ".join(text.split()).casefold()
