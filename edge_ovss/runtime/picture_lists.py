"""Lists of pictures: text files with one path per line."""

from __future__ import annotations

from pathlib import Path

from edge_ovss.errors import InputError, PictureError


def read_list(path: Path) -> list[tuple[str, Path]]:
    """Return (path as written, file) of every picture that a list names, in its order.

    Empty lines and lines that begin with # count for nothing.

    Args:
        path: The list; what it names is relative to its folder.

    Raises:
        InputError: It cannot be read, or names nothing.
        PictureError: A file is not there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        message = f"The list of pictures '{path}' cannot be read: {err}."
        raise InputError(message, hint="Expected a text file, one path per line.") from err
    names = [line.strip() for line in lines]
    kept = [Path(name).as_posix() for name in names if name and not name.startswith("#")]
    if not kept:
        message = f"The list of pictures '{path}' is empty."
        raise InputError(message, hint="Expected one path per line, relative to the list.")
    found = [(name, path.parent / name) for name in kept]
    missing = [str(file) for _, file in found if not file.is_file()]
    if missing:
        message = f"{len(missing)} pictures of '{path}' are not there: {missing[0]}."
        raise PictureError(message, hint="Paths are relative to the folder of the list.")
    return found
