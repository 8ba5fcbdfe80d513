"""Write files whole or not at all, hash files, and find the cache folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

from edge_ovss._leftovers import new_part, remove_parts
from edge_ovss._safe_text import json_ready, shown
from edge_ovss.errors import OutputError

_REASONS = {
    errno.ENOSPC: ("the disk is full", "Free some space, or choose another folder."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or choose another folder."),
    errno.EACCES: ("permission is denied", "Choose a folder that you may write to."),
    errno.EPERM: ("permission is denied", "Choose a folder that you may write to."),
    errno.EROFS: ("the file system is read-only", "Choose a folder that you may write to."),
    errno.ENOTDIR: ("a part of its path is a file", "Choose a path whose parents are folders."),
    errno.EEXIST: ("a file is in the way", "Choose another path, or remove that file."),
    errno.EISDIR: ("a folder is in the way", "Choose another path, or remove that folder."),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
}


def output_error(path: Path, err: OSError) -> OutputError:
    """Return the error that explains why `path` could not be written."""
    fallback = (err.strerror or str(err), "Check the path and the disk.")
    reason, hint = _REASONS.get(err.errno or 0, fallback)
    return OutputError(f"Cannot write '{shown(path)}': {reason}.", hint=hint)


def make_folder(path: Path) -> Path:
    """Create the folder `path` and its parents if needed.

    Partial files that killed runs left in it are removed, and reported.

    Raises:
        OutputError: It cannot be created, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise output_error(path, err) from err
    remove_parts(path)
    return path


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write `data` to a temporary sibling of `path`, then rename it into place.

    Args:
        path: The file.
        data: Its content.
        durable: Whether it must be on the disk when this returns, and never in part, even if the
            power is cut.

    Raises:
        OutputError: It cannot be written; `path` is then unchanged.
    """
    try:
        part = new_part(path)
    except OSError as err:
        raise output_error(path, err) from err
    try:
        part.path.write_bytes(data)
        if durable:
            _sync(part.path)
        part.path.replace(path)
        if durable and os.name != "nt":  # a folder cannot be opened there
            _sync(path.parent)
    except OSError as err:
        raise output_error(path, err) from err
    finally:
        discard(part.path)
        part.release()


def _sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: object, *, durable: bool = False) -> None:
    """Write `document` as indented JSON in UTF-8, whole or not at all (see `write_bytes`).

    Raises:
        OutputError: It cannot be written; `path` is then unchanged.
    """
    write_bytes(path, json_bytes(document), durable=durable)


def json_bytes(document: object) -> bytes:
    """Return indented JSON in UTF-8; bytes in names that are not UTF-8 become escapes."""
    text = json.dumps(json_ready(document), indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8")


def discard(path: Path) -> None:
    """Remove the file `path` if it exists; errors are ignored."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


_PIECE = 1 << 20


def sha256_of_file(path: Path) -> str:
    """Return the sha256 of the file `path` in lower-case hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            digest.update(piece[:count])
    return digest.hexdigest()


def cache_folder() -> Path | None:
    """Return the folder of all caches, or None if `EDGE_OVSS_CACHE` is set but empty.

    `EDGE_OVSS_CACHE` names it; by default it is `edge-ovss` in `XDG_CACHE_HOME` or `~/.cache`.
    """
    chosen = os.environ.get("EDGE_OVSS_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "edge-ovss"
