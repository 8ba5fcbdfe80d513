"""The JSON form of a vocabulary that a bundle stores, checked strictly when it is read."""

from __future__ import annotations

from typing import Any

from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.vocabulary import Category, Vocabulary, check_color
from edge_ovss.vocabulary.words import MOST_CATEGORIES, check_count, located, short

SCHEMA = 1

_TOP = {"schema", "name", "sha256", "background", "outputs", "categories"}
_CATEGORY = {"text", "synonyms", "output"}
_OUTPUT = {"name", "color"}


def vocabulary_to_json(vocabulary: Vocabulary) -> dict[str, object]:
    """Return the JSON object of `vocabulary`; the hash is in it so that a change shows."""
    rows = zip(vocabulary.outputs, vocabulary.palette.tolist(), strict=True)
    return {
        "schema": SCHEMA,
        "name": vocabulary.name,
        "sha256": vocabulary.sha256,
        "background": vocabulary.background,
        "outputs": [{"name": name, "color": color} for name, color in rows],
        "categories": [
            {"text": each.text, "synonyms": list(each.synonyms), "output": each.output}
            for each in vocabulary.categories
        ],
    }


def vocabulary_from_json(document: object) -> Vocabulary:
    """Return the vocabulary of a JSON object written by `vocabulary_to_json`.

    `sha256` may be left out (a document written by hand); when it is there it must fit.

    Raises:
        VocabularyError: The document is not of that form.
    """
    top = _table(document, _TOP, optional={"sha256", "background"})
    _check_schema(top["schema"])
    names, colors = [], []
    for index, item in enumerate(_items(top["outputs"], "outputs")):
        with located(f"Output {index}"):
            row = _table(item, _OUTPUT)
            names.append(row["name"])
            colors.append(_color(row["color"]))
    categories = []
    rows = _items(top["categories"], "categories")
    check_count(len(rows), MOST_CATEGORIES, "categories")
    for index, item in enumerate(rows):
        with located(f"Category {index}"):
            categories.append(_category(_table(item, _CATEGORY), colors))
    vocabulary = Vocabulary(
        top["name"], tuple(categories), tuple(names), background=top.get("background")
    )
    _check_digest(vocabulary, top.get("sha256"))
    return vocabulary


def _category(row: dict[str, Any], colors: list[tuple[int, int, int]]) -> Category:
    output = row["output"]
    if type(output) is not int or not 0 <= output < len(colors):
        message = f"The output is {short(output)}; expected an integer from 0 to {len(colors) - 1}."
        raise VocabularyError(message)
    synonyms = tuple(_items(row["synonyms"], "synonyms"))
    return Category(row["text"], synonyms, colors[output], output)


def _color(value: object) -> tuple[int, int, int]:
    color = tuple(_items(value, "color"))
    check_color(color, "the output")
    red, green, blue = color
    return red, green, blue


def _items(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        message = f"'{what}' is {type(value).__name__}; expected a list."
        raise VocabularyError(message)
    return value


def _table(value: object, keys: set[str], *, optional: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        message = f"Found {type(value).__name__}; expected an object with {sorted(keys)}."
        raise VocabularyError(message)
    missing = keys - (optional or set()) - value.keys()
    if missing:
        message = f"The key '{min(missing)}' is missing; expected {sorted(keys)}."
        raise VocabularyError(message)
    # A newer schema may well have more keys: let the schema be the complaint then.
    unknown = sorted(map(str, value.keys() - keys))
    if unknown and value.get("schema", SCHEMA) == SCHEMA:
        message = f"The key '{unknown[0][:64]}' is not known; expected {sorted(keys)}."
        raise VocabularyError(message)
    return value


def _check_schema(schema: object) -> None:
    if type(schema) is not int or schema != SCHEMA:
        message = f"The vocabulary has schema {short(schema)}; this version reads schema {SCHEMA}."
        raise VocabularyError(message, hint="Update edge-ovss, or write the vocabulary again.")


def _check_digest(vocabulary: Vocabulary, expected: object) -> None:
    if expected is not None and expected != vocabulary.sha256:
        message = (
            f"The vocabulary '{vocabulary.name}' has the hash {vocabulary.sha256}, "
            f"but the document says {short(expected)}; it was changed after it was written."
        )
        raise VocabularyError(message, hint="Write it again, or remove the key 'sha256'.")
