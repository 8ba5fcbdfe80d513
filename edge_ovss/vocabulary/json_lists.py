"""Read lists of categories in JSON, in the forms of published projects and data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.assembly import CategoryEntry, assemble, with_background
from edge_ovss.vocabulary.palette import Color
from edge_ovss.vocabulary.vocabulary import MOST_OUTPUTS, Vocabulary, check_color
from edge_ovss.vocabulary.words import (
    check_count,
    check_name,
    join_synonyms,
    located,
    short,
    split_synonyms,
)

FORMS = (
    'Expected ["road", "car, auto"], [["road"], ["car", "auto"]], {"0": "road", "1": "car"}, '
    '[{"name": "road"}, {"name": "car"}], {"categories": one of these, "background": ["sky"]}, '
    "or the vocabulary.json of a bundle; see docs/vocabularies.md."
)
# Keys of objects: ignored ones, and numbers that must agree with the order.
_IGNORED = {"isthing", "supercategory"}
_NUMBERS = ("id", "trainId")
_KEYS = {"name", "color", *_NUMBERS, *_IGNORED}


def is_list(document: object) -> bool:
    """Say whether a document is meant as a list, rather than as what a bundle stores."""
    if isinstance(document, dict):
        return bool(document) and (
            all(str(key).isdecimal() for key in document) or _has_background(document)
        )
    return isinstance(document, list)


def _has_background(document: dict[str, Any]) -> bool:
    """Say whether a document is a list with background words; what a bundle stores is not."""
    return document.keys() == {"categories", "background"} and isinstance(
        document["background"], list
    )


def vocabulary_from_list(document: Any, *, name: str) -> Vocabulary:  # noqa: ANN401 (JSON)
    """Return the vocabulary of a list in JSON.

    Args:
        document: An array of strings (synonyms are separated as in a text file), of arrays of
            synonyms, or of objects with `name`; or an object from the numbers 0, 1, 2… to
            strings; or an object of one of these as `categories` and `background`, an array of
            words.
        name: Name of the vocabulary.

    Raises:
        VocabularyError: The forms are mixed, the numbers do not agree with the order, or class
            names cannot be used.
    """
    if isinstance(document, dict) and _has_background(document):
        words = vocabulary_from_list(document["categories"], name=name)
        return with_background(words, document["background"])
    items = _in_order(document) if isinstance(document, dict) else document
    if not isinstance(items, list):
        message = f"The categories are {short(items)}; expected a list."
        raise VocabularyError(message, hint=FORMS)
    check_count(len(items), MOST_OUTPUTS, "categories")
    if not items:
        message = "The list is empty; expected at least one category."
        raise VocabularyError(message, hint=FORMS)
    form = _form(items)
    entries: list[CategoryEntry] = []
    for index, item in enumerate(items):
        with located(f"Category {index}"):
            entries.append(form(f"category {index}", item))
    _check_numbers(items)
    return assemble(entries, name=name)


def _form(items: list[Any]) -> Callable[[str, Any], CategoryEntry]:
    readers: dict[type, Callable[[str, Any], CategoryEntry]] = {
        str: _text,
        list: _synonyms,
        dict: _object,
    }
    kinds = list(dict.fromkeys(type(item) for item in items))
    if len(kinds) > 1 or kinds[0] not in readers:
        shown = " and ".join(kind.__name__ for kind in kinds[:3])
        message = f"The list contains {shown}; expected categories of one form."
        raise VocabularyError(message, hint=FORMS)
    return readers[kinds[0]]


def _in_order(document: dict[str, Any]) -> list[Any]:
    numbers = [str(index) for index in range(len(document))]
    missing = next((number for number in numbers if number not in document), None)
    if missing is not None:
        message = f"The numbers of the {len(document)} categories do not include {missing}."
        raise VocabularyError(message, hint="Expected every number from 0 on, once.")
    return [document[number] for number in numbers]


def _text(place: str, text: str) -> CategoryEntry:
    check_name(text, "It")
    return CategoryEntry(place, text, split_synonyms(text))


def _synonyms(place: str, names: list[Any]) -> CategoryEntry:
    if not names:
        message = "It has no names."
        raise VocabularyError(message, hint=FORMS)
    for position, each in enumerate(names):
        check_name(each, f"Synonym {position}")
    return CategoryEntry(place, join_synonyms(names), tuple(names))


def _object(place: str, row: dict[str, Any]) -> CategoryEntry:
    unknown = sorted(row.keys() - _KEYS)
    if unknown:
        message = f"The key '{unknown[0][:64]}' is not known; expected {', '.join(sorted(_KEYS))}."
        raise VocabularyError(message, hint=FORMS)
    if "name" not in row:
        message = "The key 'name' is missing."
        raise VocabularyError(message, hint=FORMS)
    check_name(row["name"], "'name'")
    return CategoryEntry(place, row["name"], split_synonyms(row["name"]), color=_color(row))


def _color(row: dict[str, Any]) -> Color | None:
    if "color" not in row:
        return None
    value = row["color"]
    color = tuple(value) if isinstance(value, list) else value
    check_color(color, "this entry")
    red, green, blue = color
    return red, green, blue


def _check_numbers(items: list[Any]) -> None:
    """Refuse objects whose numbers are not those of their order: labels would be others."""
    for key in _NUMBERS:
        given = list(_given(items, key))
        if given and given != list(range(len(items))):
            message = f"The categories have the '{key}' {str(given[:8])[1:-1]}, …"
            hint = f"Expected 0, 1, 2, … in this order; leave '{key}' out if the order decides."
            raise VocabularyError(message, hint=hint)


def _given(items: list[Any], key: str) -> Iterator[object]:
    return (item[key] for item in items if isinstance(item, dict) and key in item)
