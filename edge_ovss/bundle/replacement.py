"""Put a finished folder in the place of an old one, and mend what a killed run left half done.

A folder grows as `.NAME.part.XXXXXXXX` beside its place NAME. To replace an old one, that is first
renamed to `.NAME.old.XXXXXXXX/NAME`. A run that is killed between the two renames leaves no NAME;
the next run for the same place puts the old one back before it does anything else.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shlex
import shutil
from collections.abc import Collection
from pathlib import Path

from edge_ovss._leftovers import (
    RANDOM,
    Held,
    abandoned,
    entries,
    new_folder,
    remove,
    remove_abandoned,
    shortened,
)
from edge_ovss.errors import OutputError

_log = logging.getLogger(__name__)

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_TRIES = 20
# What an earlier version wrote into `.NAME.XXXXXXXX`, the manifest last.
_EARLIER = frozenset(
    ("model.onnx", "model.onnx.data", "spare.onnx", "vocabulary.json", "reference", "reports")
)


def new_beside(place: Path) -> Held:
    """Make the folder that will take `place`.

    Raises:
        OSError: It cannot be made.
    """
    return new_folder(place.parent, f".{shortened(place.name)}.part.")


def mend(place: Path) -> None:
    """Put back an old folder that a killed run moved aside, and remove what killed runs left.

    What another process is writing at this moment is left alone.

    Raises:
        OutputError: An old folder cannot be put back.
    """
    parent, name = place.parent, re.escape(shortened(place.name))
    asides = entries(parent, re.compile(rf"\.{name}\.old\.{RANDOM}"))
    for aside in sorted(asides, key=_age):
        _mend_aside(aside, place)
    for path in entries(parent, re.compile(rf"\.{name}\.part\.{RANDOM}")):
        remove_abandoned(path)
    for path in entries(parent, re.compile(rf"\.{name}\.{RANDOM}")):
        if _holds_at_most(path, _EARLIER):  # a user's own copy has a manifest
            remove_abandoned(path)


def _age(path: Path) -> float:
    """Return a number that is smaller the later the folder was changed."""
    try:
        return -path.lstat().st_mtime
    except OSError:
        return 0.0


def _holds_at_most(path: Path, names: Collection[str]) -> bool:
    """Say whether a path is a folder, not a link, in which there is nothing but these names."""
    try:
        return not path.is_symlink() and {entry.name for entry in path.iterdir()} <= set(names)
    except OSError:
        return False


def _mend_aside(aside: Path, place: Path) -> None:
    held = abandoned(aside)
    if held is None:
        return
    try:
        old = aside / place.name
        if not _holds_at_most(aside, {place.name}):
            return  # no folder of ours
        if not os.path.lexists(place) and old.is_dir():
            _put_back(old, place)
        elif place.is_dir() or not os.path.lexists(old):
            remove(aside)
        # Else it is the only copy of what was there, and something else is in its place.
    finally:
        held.release()


def _put_back(old: Path, place: Path) -> None:
    try:
        old.rename(place)
    except OSError as err:
        reason = err.strerror or err
        message = f"'{old}', which a killed run moved aside, cannot be put back: {reason}."
        hint = f"Move it yourself: {shlex.join(['mv', str(old), str(place)])}"
        raise OutputError(message, hint=hint) from err
    shutil.rmtree(old.parent, ignore_errors=True)
    _log.warning("Put '%s' back, which a run that was killed had moved aside.", place)


def moved_aside(place: Path) -> Path | None:
    """Return where a run that was killed while it replaced `place` left the old one, if so."""
    pattern = re.compile(rf"\.{re.escape(shortened(place.name))}\.old\.{RANDOM}")
    found = (aside / place.name for aside in entries(place.parent, pattern))
    return next((old for old in found if old.is_dir()), None)


def move_into_place(folder: Path, place: Path, *, overwrite: bool) -> None:
    """Rename `folder` to `place`; what is there is put back when that fails.

    Args:
        folder: A folder beside `place`, finished.
        place: Where it goes.
        overwrite: Replace what is there, also what another run has put there meanwhile.

    Raises:
        OSError: It cannot be renamed.
        OutputError: Something is at `place` and may not be replaced.
    """
    for _ in range(_TRIES):
        if os.path.lexists(place):
            if not overwrite:
                raise taken(place)
            if _swap(folder, place):
                return
        elif _rename(folder, place):
            return
    raise OSError(errno.EEXIST, "another run writes there again and again", str(place))


def taken(place: Path) -> OutputError:
    """Return the error that something is in the way."""
    hint = "Choose another path, or allow overwriting."
    return OutputError(f"'{place}' is already there.", hint=hint)


def _rename(folder: Path, place: Path) -> bool:
    """Rename; False if another run has put something there in this moment."""
    try:
        folder.rename(place)
    except OSError as err:
        if err.errno in _TAKEN:
            return False
        raise
    return True


def _swap(folder: Path, place: Path) -> bool:
    """Replace `place`; False if another run was faster, with nothing done."""
    aside = new_folder(place.parent, f".{shortened(place.name)}.old.")
    old = aside.path / place.name
    try:
        place.rename(old)
        replaced = _rename(folder, place)
    except BaseException as err:
        if os.path.lexists(old):
            old.rename(place)
        aside.path.rmdir()
        if isinstance(err, FileNotFoundError) and not os.path.lexists(place) and folder.is_dir():
            return False
        raise
    else:
        shutil.rmtree(aside.path, ignore_errors=True)
        return replaced
    finally:
        aside.release()
