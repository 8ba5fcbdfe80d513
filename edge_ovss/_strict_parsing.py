"""Read JSON and TOML strictly, so that the values are safe to compute with, compare and print.

Python's own readers accept more than the formats allow, and more than this program, the C++ library
or other readers can handle: integers of any length, NaN, lone surrogates, repeated keys, unlimited
nesting. The C++ counterpart is runtime/src/fields.cpp.
"""

from __future__ import annotations

import json
import math
import re
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from edge_ovss._optional import require

MOST_BYTES = 16 << 20
"""The default size limit of a document in bytes."""

MOST_TOML = 1 << 20
"""The default size limit of TOML, which people write by hand."""

DEEPEST = 64
"""The deepest nesting of objects and lists."""

LONGEST_NUMBER = 128
"""The most characters of one number."""

_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")
# Python's TOML reader takes quadratic time in the number of parts of a dotted key.
_MOST_PARTS = 64
_PART = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_DOTTED_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{_MOST_PARTS}}}", re.ASCII)


class DocumentError(ValueError):
    """The document is not valid JSON or TOML, or is rejected; the message says why."""


def read_json(path: Path, *, limit: int = MOST_BYTES) -> Any:  # noqa: ANN401 (any JSON value)
    """Read a JSON file of at most `limit` bytes.

    Raises:
        OSError: The file cannot be read.
        DocumentError: It is not a regular file, is too large, or `parse_json` rejects it.
    """
    return parse_json(read_limited(path, limit=limit))


def read_limited(path: Path, *, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        OSError: The file cannot be read.
        DocumentError: It is not a regular file, or is too large.
    """
    if "\0" in str(path):
        _refuse("its name holds a zero byte")
    if not stat.S_ISREG(path.stat().st_mode):
        _refuse("it is not a regular file")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        _refuse(f"it has more than {limit} bytes")
    return data


def parse_json(data: bytes | str, *, limit: int = MOST_BYTES) -> Any:  # noqa: ANN401
    """Return the value of a JSON document.

    Args:
        data: UTF-8, with or without a byte-order mark, or text.
        limit: The most bytes (for text: characters).

    Raises:
        DocumentError: It is too large or not JSON, or it has an integer beyond 64 bits, a number
            that is not finite or has more than 128 digits, a lone surrogate, a repeated key in
            one object, or more than 64 levels.
    """
    if len(data) > limit:
        _refuse(f"it has more than {limit} bytes")
    try:
        text = data if isinstance(data, str) else str(data, "utf-8-sig")
        document = json.loads(
            text,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
    except UnicodeDecodeError as err:
        _refuse(f"byte {err.start} is not UTF-8")
    except RecursionError:
        _refuse(f"it is nested more than {DEEPEST} deep")
    except json.JSONDecodeError as err:
        raise DocumentError(str(err)) from err
    _check(document)
    return document


def parse_toml_table(text: str, *, limit: int = MOST_TOML) -> dict[str, Any]:
    """Return the table of a TOML document, under the same rules as `parse_json`.

    Args:
        text: The document.
        limit: The most characters.

    Raises:
        DocumentError: It is too large or not TOML, or has what `parse_json` rejects.
        MissingDependencyError: Python 3.10 without the package tomli.
    """
    if len(text) > limit:
        _refuse(f"it has more than {limit} characters")
    _check_keys(text)
    # Python includes a reader since 3.11.
    toml = require("tomllib" if sys.version_info >= (3, 11) else "tomli", extra="onnxruntime")
    try:
        document: dict[str, Any] = toml.loads(text)
    except RecursionError:
        _refuse(f"it is nested more than {DEEPEST} deep")
    except toml.TOMLDecodeError as err:
        raise DocumentError(str(err)) from err
    except ValueError:  # Python does not convert longer ones
        _refuse("an integer does not fit 64 bits")
    _check(document)
    return document


def _check_keys(text: str) -> None:
    if found := _DOTTED_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        _refuse(f"line {line} has a key of more than {_MOST_PARTS} parts")


def _refuse(message: str) -> NoReturn:
    raise DocumentError(message) from None


def _integer(text: str) -> int:
    value = int(text) if len(text) <= LONGEST_NUMBER else _LARGEST + 1
    if not _SMALLEST <= value <= _LARGEST:
        _refuse(f"the integer {_short(text)} does not fit 64 bits")
    return value


def _number(text: str) -> float:
    if len(text) > LONGEST_NUMBER:
        _refuse(f"the number {_short(text)} has more than {LONGEST_NUMBER} digits")
    if not math.isfinite(value := float(text)):
        _refuse(f"the number {_short(text)} is too large")
    return value


def _constant(text: str) -> NoReturn:
    _refuse(f"{text} is not a number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        _refuse(f"the key {_short(ascii(twice))} occurs twice in one object")
    return made


def _check(document: object) -> None:
    """Check depth, strings and numbers of a document, without recursion."""
    level: list[object] = [document]
    for _ in range(DEEPEST):
        level = [item for value in level for item in _inside(value)]
    if any(isinstance(value, dict | list) for value in level):
        _refuse(f"it is nested more than {DEEPEST} deep")
    for value in level:
        _inside(value)


def _inside(value: object) -> Iterable[object]:
    """Return the values inside a container; check any other value."""
    if isinstance(value, dict):
        return (*value, *value.values())
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        _refuse(f"{value} is not a number")
    elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        _refuse("an integer does not fit 64 bits")
    return ()


def _check_text(text: str) -> None:
    if not text.isascii() and (found := _SURROGATE.search(text)):
        _refuse(f"the text {_short(ascii(text))} holds half a character, {found[0]!a}")


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}…"
