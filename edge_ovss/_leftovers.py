"""Temporary files and folders that later runs remove if a run is killed.

The process that writes one holds an flock on it, which the kernel releases when the process ends
for any reason. So the next run can remove files that nobody writes any more, while files that
another process still writes are locked and stay. A dead process cannot block anybody. On systems
without such locks (Windows, some network file systems) nothing is removed.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)

# What `tempfile.mkdtemp` appends to a prefix.
RANDOM = "[a-z0-9_]{8}"
_PART = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.part")
_SCRATCH = "edge-ovss-scratch-"
# A file system allows 255 bytes; what is added to a name fits into the rest.
_LONGEST = 200
_TRIES = 20


@dataclass(frozen=True)
class Held:
    """A temporary file or folder that is locked by this process.

    Attributes:
        path: Its path, before any renaming.
        descriptor: File descriptor with the lock; None if the system has no locks.
    """

    path: Path
    descriptor: int | None

    def release(self) -> None:
        """Give up the lock."""
        if self.descriptor is not None:
            with suppress(OSError):  # closing is not enough: a forked child may hold a copy
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
            os.close(self.descriptor)


def shortened(name: str) -> str:
    """Return a file name, shortened to leave room for a prefix and a suffix."""
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


def new_folder(parent: Path, prefix: str) -> Held:
    """Create an empty, locked folder of mode 0700 in `parent`.

    Raises:
        OSError: It cannot be created.
    """
    for _ in range(_TRIES):
        held = _hold(Path(tempfile.mkdtemp(prefix=prefix, dir=parent)))
        if held is not None:
            return held
    raise _too_busy(parent)


def new_part(path: Path, *, mode: int = 0o666) -> Held:
    """Create an empty, locked sibling of `path` to write to; the umask applies to `mode`.

    Raises:
        OSError: It cannot be created.
    """
    for _ in range(_TRIES):
        random = f"{os.getpid()}.{secrets.token_hex(4)}"
        part = path.with_name(f".{shortened(path.name)}.{random}.part")
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        held = _hold(part)
        if held is not None:
            return held
    raise _too_busy(path.parent)


def _too_busy(folder: Path) -> OSError:
    # Another process removed each one in the microseconds before it was locked.
    return OSError(f"another process removes every file created in '{folder}' at once")


def _hold(path: Path) -> Held | None:
    """Lock what was just created; None if a process that cleans up was faster."""
    try:
        descriptor = _open(path)
    except FileNotFoundError:
        return None
    held = Held(path, descriptor)
    locked = None if descriptor is None else _lock(descriptor)
    if locked is None or (locked and _is_still(path, descriptor)):
        return held
    held.release()
    return None


def abandoned(path: Path) -> Held | None:
    """Lock a temporary file or folder that nobody writes; None if somebody does, or may."""
    try:
        descriptor = _open(path)
    except OSError:
        return None
    if descriptor is None:
        return None
    held = Held(path, descriptor)
    if _lock(descriptor) and _is_still(path, descriptor):
        return held
    held.release()
    return None


def _open(path: Path) -> int | None:
    """Open a file or folder, but not a link, without waiting for the other end of a pipe."""
    if fcntl is None:
        return None
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)


def _lock(descriptor: int) -> bool | None:
    """Return whether the lock was acquired; None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_still(path: Path, descriptor: int | None) -> bool:
    """Return whether the path is still the file that was opened, not gone or replaced."""
    if descriptor is None:
        return False
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def remove_abandoned(path: Path) -> None:
    """Remove a file or folder if a killed run left it behind, and report it."""
    held = abandoned(path)
    if held is None:
        return
    try:
        remove(path)
    finally:
        held.release()


def remove(path: Path) -> None:
    """Remove a leftover that this process has locked, and report it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    if os.path.lexists(path):
        _log.warning("'%s', left behind by a run that was killed, cannot be removed.", path)
    else:
        _log.warning("Removed '%s', left behind by a run that was killed.", path)


def remove_parts(folder: Path, *, of: str | None = None) -> None:
    """Remove partial files that killed runs left in `folder`: those of the file `of`, or all."""
    start = "." if of is None else f".{shortened(of)}."
    for path in entries(folder, _PART):
        if path.name.startswith(start):
            remove_abandoned(path)


def entries(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the entries of `folder` whose name matches; [] if it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            return sorted(folder / entry.name for entry in found if pattern.fullmatch(entry.name))
    except OSError:
        return []


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield an empty temporary folder, and remove it at the end.

    Raises:
        OSError: It cannot be created.
    """
    parent = Path(tempfile.gettempdir())
    for path in entries(parent, re.compile(re.escape(_SCRATCH) + RANDOM)):
        if _is_own(path):
            remove_abandoned(path)
    held = new_folder(parent, _SCRATCH)
    try:
        yield held.path
    finally:
        shutil.rmtree(held.path, ignore_errors=True)
        held.release()


def _is_own(path: Path) -> bool:
    """Return whether a folder belongs to this user: others can create temporary folders too."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()
