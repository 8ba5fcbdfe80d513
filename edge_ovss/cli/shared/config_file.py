"""Read the options of a verb from a TOML file, for `--config`."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path

from edge_ovss._strict_parsing import MOST_TOML, DocumentError, parse_toml_table, read_limited
from edge_ovss.errors import InputError, UsageError

PATHS = (
    "vocab",
    "checkpoint",
    "embeddings",
    "calibration",
    "validation",
    "recipe",
    "classes",
)
"""Options whose value may be a path, which is then relative to the file if it exists there."""


def config_arguments(
    path: Path, options: Mapping[str, argparse.Action], taken: Collection[str] = ()
) -> list[str]:
    """Return the options of a file as arguments.

    Args:
        path: A TOML file; its keys are names of options, with or without leading dashes.
        options: The options it may hold, by names such as "--vocab".
        taken: Options in the file that are skipped.

    Raises:
        InputError: The file cannot be read, or is not TOML.
        UsageError: A key is not an option, or its value has the wrong type.
    """
    arguments: list[str] = []
    seen: set[argparse.Action] = set()
    for key, value in _read(path).items():
        name = f"--{key.lstrip('-')}"
        if name not in options:
            _refuse_key(path, key, options)
        if options[name] in seen:
            message = f"Config '{path}': '{key}' is given twice."
            raise UsageError(message)
        seen.add(options[name])
        if name not in taken:
            arguments += _words(path, key, value, options[name])
    return arguments


def _read(path: Path) -> dict[str, object]:
    try:
        text = read_limited(path, limit=MOST_TOML).decode("utf-8-sig")
        return parse_toml_table(text)
    except (OSError, UnicodeDecodeError, DocumentError) as err:
        message = f"Config '{path}' cannot be read: {err}"
        raise InputError(message) from err


def _refuse_key(path: Path, key: str, options: Mapping[str, argparse.Action]) -> None:
    names = [name[2:] for name in options if name.startswith("--")]
    close = get_close_matches(key.lstrip("-"), names, n=1)
    message = f"Config '{path}': '{key}' is not an option of this verb."
    hint = f"Did you mean '{close[0]}'?" if close else "Keys are option names, such as model."
    raise UsageError(message, hint=hint)


def _words(path: Path, key: str, value: object, action: argparse.Action) -> list[str]:
    """Return the arguments for one key."""
    name = f"--{key.lstrip('-')}"
    if action.nargs == 0:
        if not isinstance(value, bool):
            _refuse_value(path, key, value, "true or false")
        return [name] if value else []
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return _list_words(path, key, value, action)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        _refuse_value(path, key, value, "text, a number or a list of text")
    return [f"{name}={_beside(path, key.lstrip('-'), str(value))}"]


def _list_words(path: Path, key: str, value: list[str], action: argparse.Action) -> list[str]:
    """Repeat a repeatable option; join the list with commas for others."""
    name = f"--{key.lstrip('-')}"
    if isinstance(action, argparse._AppendAction):
        return [f"{name}={item}" for item in value]
    if any("," in item for item in value):
        _refuse_value(path, key, value, "no commas within the texts of a list")
    return [f"{name}={', '.join(value)}"]


def _refuse_value(path: Path, key: str, value: object, expected: str) -> None:
    message = f"Config '{path}': '{key}' is {value!r}; expected {expected}."
    raise UsageError(message)


def _beside(path: Path, key: str, value: str) -> str:
    """Return the path relative to the file if it exists there; other values unchanged."""
    if key not in PATHS:
        return value
    place = path.parent / value
    try:
        # A data set's folder may have the name of a built-in vocabulary.
        exists = place.is_file() if key == "vocab" else place.exists()
        return str(place) if exists else value
    except (OSError, ValueError):  # too long for a path, or with a zero byte
        return value
