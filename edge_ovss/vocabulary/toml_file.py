"""Read a vocabulary in TOML, with synonyms, colors, outputs and background."""

from __future__ import annotations

import difflib
from typing import Any

from edge_ovss._strict_parsing import DocumentError, parse_toml_table
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.assembly import CategoryEntry, OutputEntry, assemble, with_background
from edge_ovss.vocabulary.palette import Color
from edge_ovss.vocabulary.vocabulary import Vocabulary, check_color
from edge_ovss.vocabulary.words import (
    check_name,
    join_synonyms,
    located,
    short,
    split_synonyms,
)

_TOP = ("name", "background", "category", "output")
_CATEGORY = ("names", "text", "color", "output")
_OUTPUT = ("name", "color")


def parse_toml(text: str, *, name: str) -> Vocabulary:
    """Read a vocabulary in TOML; docs/vocabularies.md lists the keys.

    Args:
        text: The content of the file.
        name: Name of the vocabulary if the file does not give one.

    Raises:
        VocabularyError: Not TOML, an unknown key, a wrong type, or class names that cannot be used.
        MissingDependencyError: Python 3.10 without the package tomli.
    """
    document = _parse(text)
    _refuse_unknown(document, _TOP)
    entries = []
    for index, table in enumerate(_tables(document, "category")):
        place = f"category {index}"
        with located(place.capitalize()):
            entries.append(_entry(place, table))
    outputs = []
    for index, table in enumerate(_tables(document, "output")):
        with located(f"Output {index}"):
            outputs.append(_output(table))
    background, words = document.get("background"), None
    if isinstance(background, list):
        background, words = None, background
    elif background is not None:
        check_name(background, "The background")
    vocabulary = assemble(
        entries, name=document.get("name", name), outputs=outputs or None, background=background
    )
    return vocabulary if words is None else with_background(vocabulary, words)


def _parse(text: str) -> dict[str, Any]:
    try:
        return parse_toml_table(text)
    except DocumentError as err:
        message = f"It is not TOML: {err}."
        raise VocabularyError(message) from err


def _entry(place: str, table: dict[str, Any]) -> CategoryEntry:
    _refuse_unknown(table, _CATEGORY)
    if ("names" in table) == ("text" in table):
        message = "Expected either 'names' (a list of synonyms) or 'text' (a published string)."
        raise VocabularyError(message)
    output = table.get("output")
    if output is not None:
        check_name(output, "The output")
    if "text" in table:
        check_name(table["text"], "'text'")
        synonyms = split_synonyms(table["text"])
        return CategoryEntry(place, table["text"], synonyms, output, _color(table))
    synonyms = _names(table["names"])
    return CategoryEntry(place, join_synonyms(synonyms), synonyms, output, _color(table))


def _output(table: dict[str, Any]) -> OutputEntry:
    _refuse_unknown(table, _OUTPUT)
    check_name(table.get("name"), "'name'")
    return OutputEntry(table["name"], _color(table))


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        message = f'\'names\' is {short(value)}; expected a list such as ["window", "windowpane"].'
        raise VocabularyError(message)
    for position, name in enumerate(value):
        check_name(name, f"Synonym {position}")
    return tuple(value)


def _color(table: dict[str, Any]) -> Color | None:
    if "color" not in table:
        return None
    value = table["color"]
    color = tuple(value) if isinstance(value, list) else value
    check_color(color, "this entry")
    red, green, blue = color
    return red, green, blue


def _tables(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        message = f"'{key}' is {short(value)}; expected tables that begin with [[{key}]]."
        raise VocabularyError(message)
    return value


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...]) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key[:64], known, n=1)
            guess = f"Did you mean '{near[0]}'?" if near else None
            message = f"The key '{key[:64]}' is not known; expected {', '.join(known)}."
            raise VocabularyError(message, hint=guess)
