"""Read text lists: files with one entry per line, such as vocabularies, class names and paths.

Every list that a user writes is read by these rules, so that a file means the same everywhere.
Editors on all systems write such files, some with invisible characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_ovss.errors import InputError

COMMENT = "#"
MOST_BYTES = 64 * 2**20

# Windows ends a line with both, Unix with LF, and Excel for Mac with CR alone.
_LINE_END = re.compile(r"\r\n|\n|\r")
# Some programs end a line at these, but most do not, so the meaning is unclear.
_OTHER_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_MARK = "\ufeff"
_OTHER_ENCODINGS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_SAVE = "Save the file as UTF-8."


@dataclass(frozen=True)
class ListLine:
    """One entry of a list.

    Attributes:
        number: Line number in the file, from 1, counting comments and blank lines.
        text: The line as written, including spaces.
    """

    number: int
    text: str


def read_text_list(
    path: Path,
    *,
    blank_lines: bool,
    limit: int = MOST_BYTES,
    error: type[InputError] = InputError,
) -> list[ListLine]:
    """Read the entries of a list; see `decode_text` and `list_entries`.

    Args:
        path: A regular file.
        blank_lines: Whether to allow blank lines before the last entry; give False if one could
            stand for an entry.
        limit: The most bytes to read.
        error: Type of the errors to raise.

    Raises:
        InputError: It does not exist, is not a regular file, is too large, is not UTF-8 text, or
            has a blank line where none is allowed. The message begins with the path.
    """
    text = decode_text(_read(path, limit, error), f"'{path}'", error=error)
    try:
        return list_entries(text, blank_lines=blank_lines, error=error)
    except InputError as err:
        message = f"'{path}': {err.message}"
        raise error(message, hint=err.hint) from err


def decode_text(content: bytes, what: str, *, error: type[InputError] = InputError) -> str:
    """Return the text of a UTF-8 file, without a leading byte-order mark.

    Args:
        content: The bytes of the file.
        what: Name of the file for the message, such as "'words.txt'".
        error: Type of the errors to raise.

    Raises:
        InputError: It is not UTF-8, or has a zero byte; the message says which byte.
    """
    for mark, name in _OTHER_ENCODINGS.items():
        if content.startswith(mark):
            message = f"{what} is not UTF-8 text: it begins with the mark of {name}."
            raise error(message, hint=_SAVE)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as err:
        message = f"{what} is not UTF-8 text: byte {err.start} cannot be decoded."
        raise error(message, hint=_SAVE) from err
    if "\0" in text:
        message = f"{what} is not UTF-8 text: byte {content.index(0)} is zero."
        raise error(message, hint=_SAVE)
    return text.lstrip(_MARK)


def list_entries(
    text: str, *, blank_lines: bool, error: type[InputError] = InputError
) -> list[ListLine]:
    """Return the entries of a list: all lines except blank ones and comments.

    A line ends with LF, CR LF or CR. A line that begins with `#`, after white space, is a comment.
    A byte-order mark at the start of a line, left from joining files, is dropped. Spaces are kept.

    Args:
        text: The content of the file.
        blank_lines: Whether to allow blank lines before the last entry. With False they are an
            error: one may stand for an entry, and every number after it would shift. Blank lines
            after the last entry are always allowed.
        error: Type of the errors to raise.

    Returns:
        The entries in order; none if there are only comments and blank lines.

    Raises:
        InputError: There is a blank line before the last entry, or a line has a character at which
            only some programs end a line; the message gives its number.
    """
    lines = [line.lstrip(_MARK) for line in _LINE_END.split(text)]
    entries = [ListLine(number, line) for number, line in enumerate(lines, 1) if _is_entry(line)]
    for entry in entries:
        _refuse_other_ends(entry, error)
    if entries and not blank_lines:
        _refuse_blank(lines[: entries[-1].number], error)
    return entries


def _is_entry(line: str) -> bool:
    content = line.strip()
    return bool(content) and not content.startswith(COMMENT)


def _refuse_other_ends(entry: ListLine, error: type[InputError]) -> None:
    if found := _OTHER_END.search(entry.text):
        message = (
            f"Line {entry.number} has the character U+{ord(found[0]):04X}, at which only some "
            "programs end a line."
        )
        raise error(message, hint="End every line with LF, CR LF or CR, or remove the character.")


def _refuse_blank(lines: Sequence[str], error: type[InputError]) -> None:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            message = f"Line {number} is blank, but entries follow it."
            hint = "Remove the line; an entry cannot be empty, and indices are counted by entry."
            raise error(message, hint=hint)


def _read(path: Path, limit: int, error: type[InputError]) -> bytes:
    try:
        if path.exists() and not path.is_file():
            message = f"'{path}' is not a regular file; expected a text file, one entry per line."
            raise error(message)
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as err:
        reason = (err.strerror if isinstance(err, OSError) else None) or str(err)
        message = f"'{path}' cannot be read: {reason}."
        raise error(message, hint="Expected a text file, one entry per line.") from err
    if len(content) > limit:
        message = f"'{path}' is larger than {limit // 2**20} MiB, too large for a list."
        raise error(message, hint="Expected a text file, one entry per line.")
    return content
