"""Make text safe to print: no file name can send commands to a terminal.

File names may contain anything but "/" and a zero byte: bytes that are not UTF-8, line ends, and
codes that clear the screen or change how a line reads.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping

# Line ends and tabs are allowed in messages, but not in names.
_TEXT = frozenset("\n\t")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Characters that change the direction of the text after them.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(name: str | os.PathLike[str]) -> str:
    """Return a name or a path on one line; unprintable characters become Python escapes."""
    return "".join(char if _is_plain(char) else _escaped(char) for char in os.fspath(name))


def shown_text(text: str) -> str:
    """Return a message in which everything except line ends and tabs is printable."""
    return "".join(c if c in _TEXT or _is_plain(c) else _escaped(c) for c in text)


def file_stem(name: str) -> str:
    """Return a name fit for files and JSON; unprintable characters become %NN, as in URLs."""
    return "".join(char if _is_plain(char) else _percent(char) for char in name)


def json_ready(value: object) -> object:
    """Return a JSON value whose strings are valid Unicode; other bytes of names become escapes."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: _escaped(found.group()), value)
    if isinstance(value, Mapping):
        return {json_ready(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return value


def _is_plain(char: str) -> bool:
    if " " <= char <= "~":
        return True
    return unicodedata.category(char) not in _UNPRINTABLE and char not in _TURNING


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _percent(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"%{ord(char) - 0xDC00:02X}"
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
