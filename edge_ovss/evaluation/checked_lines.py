"""Lines of JSON with a hash of themselves: a journal that was cut off or changed is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.errors import InputError

_CHECK = "check"


def checked_line(document: Mapping[str, object]) -> bytes:
    """Return a line with a hash of itself, which reveals any change."""
    text = json.dumps(document)
    return json.dumps({**document, _CHECK: _check(text)}).encode("ascii") + b"\n"


def parse_checked(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line; None if it is truncated or damaged."""
    try:
        document = parse_json(line)
        if not isinstance(document, dict):
            return None
        found = document.pop(_CHECK, None)
        return document if found == _check(json.dumps(document)) else None
    except DocumentError:
        return None


def read_lines(path: Path) -> list[bytes] | None:
    """Return the lines of a journal, the last one without its end; None where there is no file.

    Raises:
        InputError: It cannot be read.
    """
    try:
        return path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return None
    except OSError as err:
        message = f"The journal '{path}' cannot be read: {err.strerror or err}."
        raise InputError(message, hint="Start over with --fresh.") from err


def append_line(stream: IO[bytes], document: Mapping[str, object]) -> None:
    """Append a line to an unbuffered file.

    Usually it is a single write, so that lines of other processes stay intact.
    """
    rest = memoryview(checked_line(document))
    while rest:
        rest = rest[stream.write(rest) :]


def _check(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
