"""Where a vocabulary comes from: a built-in name, a file, or a list on the command line."""

from __future__ import annotations

import difflib
import errno
import os
from pathlib import Path

from edge_ovss._strict import DocumentError, parse_json
from edge_ovss.errors import VocabularyError
from edge_ovss.vocabulary.builtin import builtin_names, load_builtin
from edge_ovss.vocabulary.document import vocabulary_from_json
from edge_ovss.vocabulary.text_file import parse_text
from edge_ovss.vocabulary.toml_file import parse_toml
from edge_ovss.vocabulary.vocabulary import Vocabulary
from edge_ovss.vocabulary.words import located

_MIB = 2**20
# A list that somebody wrote is small; a stored one repeats every name.
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
        return Vocabulary.from_names([item.strip() for item in spec.split(",")])
    raise _unknown(spec)


def _is_path(spec: str) -> bool:
    """Say whether `spec` is meant as a path: it exists, or it looks like one and no list."""
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
    near = difflib.get_close_matches(spec.lower(), names, n=3)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    message = f"There is no vocabulary '{spec}'; built in are {', '.join(names)}."
    hint = f'{guess}Give a built-in name, a .txt, .toml or .json file, or a list: "road, car".'
    return VocabularyError(message, hint=hint)


def _load_file(path: Path) -> Vocabulary:
    suffix = path.suffix.lower()
    content = _read(path, limit=_LIMITS.get(suffix, _MIB))
    if suffix not in _LIMITS:
        message = f"'{path}' ends in '{path.suffix}'; expected .txt, .toml or .json."
        raise VocabularyError(message, hint="Rename it after what is in it; docs/vocabularies.md.")
    try:
        # Some editors put a byte-order mark in front; it is no part of the first name.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        message = f"'{path}' is not UTF-8 text: byte {err.start} cannot be decoded."
        raise VocabularyError(message, hint="Save the file as UTF-8.") from err
    with located(f"'{path}'"):
        if suffix == ".txt":
            return parse_text(text, name=path.stem)
        if suffix == ".toml":
            return parse_toml(text, name=path.stem)
        return _parse_json(text)


def _parse_json(text: str) -> Vocabulary:
    try:
        document = parse_json(text)
    except DocumentError as err:
        message = f"It is not JSON: {err}."
        raise VocabularyError(message) from err
    return vocabulary_from_json(document)


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
        message = f"'{path}' is larger than {limit // _MIB} MiB: that is no list of categories."
        raise VocabularyError(message, hint="Give a file with one category per line.")
    return content


def _unreadable(path: Path, err: OSError | ValueError) -> VocabularyError:
    number = err.errno if isinstance(err, OSError) else None
    if number in {errno.ENOENT, errno.ENOTDIR}:
        message = f"There is no file '{path}'."
        return VocabularyError(message, hint="See the built-in lists with: edge-ovss vocab list")
    if number == errno.EISDIR:
        return VocabularyError(f"'{path}' is a folder; expected a .txt, .toml or .json file.")
    if number in {errno.EACCES, errno.EPERM}:
        return VocabularyError(f"'{path}' may not be read.", hint="Check its permissions.")
    return VocabularyError(f"'{path}' cannot be read: {err}.")
