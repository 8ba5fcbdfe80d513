"""Lines of JSON with a hash of themselves: a journal that was cut off or changed is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from edge_ovss._strict_parsing import DocumentError, parse_json

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


def _check(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
