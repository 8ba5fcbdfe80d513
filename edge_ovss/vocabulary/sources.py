"""Load a vocabulary from a built-in name, a file, or a list on the command line."""

from __future__ import annotations

import difflib
import errno
import os
from pathlib import Path

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss._text_list import decode_text
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.assembly import with_background
from edge_ovss.vocabulary.builtin import builtin_names, load_builtin
from edge_ovss.vocabulary.document import vocabulary_from_json
from edge_ovss.vocabulary.inline_list import inline_list
from edge_ovss.vocabulary.json_lists import FORMS, is_list, vocabulary_from_list
from edge_ovss.vocabulary.text_file import parse_text
from edge_ovss.vocabulary.toml_file import parse_toml
from edge_ovss.vocabulary.vocabulary import Vocabulary
from edge_ovss.vocabulary.words import located

_MIB = 2**20
# A list that somebody wrote is small; a stored one repeats every name.
_LONGEST_NAME = 255
_MOST_COMPARED = 1000
_LIMITS = {".txt": _MIB, ".toml": _MIB, ".json": 16 * _MIB}


def load_vocabulary(spec: str | os.PathLike[str]) -> Vocabulary:
    """Load a vocabulary; see `Vocabulary.load`."""
    if not isinstance(spec, str):
        return _load_file(Path(spec))
    if spec in builtin_names():
        return load_builtin(spec)
    if _is_path(spec):
        return _load_file(Path(spec))
    if "," in spec:
        return inline_list(spec)
    raise _unknown(spec)


def add_background(vocabulary: Vocabulary, spec: str | os.PathLike[str]) -> Vocabulary:
    """Return a vocabulary with background words; see `Vocabulary.load`."""
    single = isinstance(spec, str) and not (
        "," in spec or spec in builtin_names() or _is_path(spec)
    )
    words = [str(spec).strip()] if single else load_vocabulary(spec).prompts
    return with_background(vocabulary, words)


def _is_path(spec: str) -> bool:
    """Return whether `spec` is meant as a path: it exists, or looks like a path and not a list."""
    try:
        if spec and Path(spec).exists():
            return True
    except (OSError, ValueError):  # a list longer than a file name may be
        return False
    if Path(spec).suffix.lower() in _LIMITS:
        return True
    return "," not in spec and any(mark in spec for mark in (os.sep, os.altsep) if mark)


def _unknown(spec: str) -> VocabularyError:
    names = builtin_names()
    near = difflib.get_close_matches(spec[:64].lower(), names, n=3)
    near += [f"'{path}'" for path in _files_like(Path(spec))] if len(spec) < _LONGEST_NAME else []
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    shown = spec if len(spec) <= _LONGEST_NAME else f"{spec[:64]}…"
    message = f"There is no vocabulary '{shown}'; built in are {', '.join(names)}."
    if "\n" in spec or "\r" in spec:
        message = f"{shown!r} contains line ends; expected a list separated by commas."
    hint = f'{guess}Give a built-in name, a .txt, .toml or .json file, or a list: "road, car".'
    return VocabularyError(message, hint=hint)


def _files_like(path: Path) -> list[Path]:
    """Return files beside `path` whose names are nearly its own, with or without a suffix."""
    try:
        beside = [each.name for each in path.parent.iterdir() if each.suffix.lower() in _LIMITS]
    except (OSError, ValueError):
        return []
    same = sorted(name for name in beside if Path(name).stem == path.name)
    near = difflib.get_close_matches(path.name, beside[:_MOST_COMPARED], n=2, cutoff=0.75)
    return [path.parent / name for name in dict.fromkeys((*same, *near))]


def _load_file(path: Path) -> Vocabulary:
    suffix = path.suffix.lower()
    content = _read(path, limit=_LIMITS.get(suffix, _MIB))
    if suffix not in _LIMITS:
        message = f"'{path}' ends in '{path.suffix}'; expected .txt, .toml or .json."
        raise VocabularyError(message, hint="Rename it after what is in it; docs/vocabularies.md.")
    text = decode_text(content, f"'{path}'", error=VocabularyError)
    # A file name may be no text: what the vocabulary is called must be.
    name = os.fsencode(path.stem).decode("utf-8", "replace")
    with located(f"'{path}'"):
        if suffix == ".txt":
            return parse_text(text, name=name)
        if suffix == ".toml":
            return parse_toml(text, name=name)
        return _parse_json(text, name)


def _parse_json(text: str, name: str) -> Vocabulary:
    try:
        document = parse_json(text)
    except DocumentError as err:
        message = f"It is not JSON: {err}."
        raise VocabularyError(message) from err
    if is_list(document):
        return vocabulary_from_list(document, name=name)
    try:
        return vocabulary_from_json(document)
    except VocabularyError as err:
        stored = isinstance(document, dict) and "schema" in document
        raise VocabularyError(err.message, hint=err.hint if stored else FORMS) from err


def _read(path: Path, *, limit: int) -> bytes:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            message = f"'{path}' is not a regular file."
            raise VocabularyError(message, hint="Give a .txt, .toml or .json file.")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as err:
        raise _unreadable(path, err) from err
    if len(content) > limit:
        message = f"'{path}' is larger than {limit // _MIB} MiB: this is not a list of categories."
        raise VocabularyError(message, hint="Give a file with one category per line.")
    return content


def _unreadable(path: Path, err: OSError | ValueError) -> VocabularyError:
    number = err.errno if isinstance(err, OSError) else None
    if number in {errno.ENOENT, errno.ENOTDIR}:
        near = " or ".join(f"'{each}'" for each in _files_like(path))
        guess = f"Did you mean {near}? " if near else ""
        hint = f"{guess}See the built-in lists with: edge-ovss vocab list"
        return VocabularyError(f"There is no file '{path}'.", hint=hint)
    if number == errno.EISDIR:
        message = f"'{path}' is a folder; expected a .txt, .toml or .json file."
        stored = path / "vocabulary.json"
        return VocabularyError(message, hint=f"Give '{stored}'." if stored.is_file() else None)
    if number in {errno.EACCES, errno.EPERM}:
        return VocabularyError(f"'{path}' may not be read.", hint="Check its permissions.")
    return VocabularyError(f"'{path}' cannot be read: {err}.")
