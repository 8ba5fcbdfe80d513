"""Lists of images: text files with one path per line."""

from __future__ import annotations

from pathlib import Path

from edge_ovss._safe_text import shown
from edge_ovss._text_list import read_text_list
from edge_ovss.errors import InputError, PictureError


def read_list(path: Path) -> list[tuple[str, Path]]:
    """Return (path as written, file) for every image in a list, in its order.

    Args:
        path: The list, read by `read_text_list`; its entries are relative to its folder.

    Raises:
        InputError: It cannot be read, or is empty.
        PictureError: A file does not exist.
    """
    lines = [line.text.strip() for line in read_text_list(path, blank_lines=True)]
    found = [(name, path.parent / name) for name in map(_as_posix, lines)]
    if not found:
        message = f"The list of images '{shown(path)}' is empty."
        raise InputError(message, hint="Expected one path per line, relative to the list.")
    missing = [file for _, file in found if not _is_there(file)]
    if missing:
        message = f"{len(missing)} images of '{shown(path)}' do not exist: {shown(missing[0])}."
        raise PictureError(message, hint="Paths are relative to the folder of the list.")
    return found


def _as_posix(name: str) -> str:
    return Path(name).as_posix()


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # the line is longer than a file name may be
        return False
