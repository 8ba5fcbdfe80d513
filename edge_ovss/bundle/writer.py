"""Write a bundle whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from edge_ovss._files import make_folder, output_error, sha256_of_file, write_json
from edge_ovss._leftovers import Held
from edge_ovss.bundle.reader import MANIFEST, UNLISTED_FOLDERS, resolve_inside
from edge_ovss.bundle.replacement import mend, move_into_place, new_beside, taken
from edge_ovss.errors import OutputError


class BundleWriter:
    """Collect the files of a bundle beside its place, and move them there when all is written.

    Use it as a context manager; when the block is left without `finish`, or by any exception,
    nothing of the bundle remains. What a run for the same place left behind that was killed is
    mended first, and said (`replacement`).

    Args:
        out: The folder to write.
        overwrite: Replace a bundle that is already there.

    Raises:
        OutputError: Something is at `out` that may not be replaced.
    """

    def __init__(self, out: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.out = Path(out).expanduser().absolute()
        self.overwrite = overwrite
        self._held: Held | None = None
        mend(self.out)
        _check_place(self.out, overwrite=overwrite)

    def __enter__(self) -> BundleWriter:
        make_folder(self.out.parent)
        try:
            self._held = new_beside(self.out)
            self._held.path.chmod(0o777 & ~_umask())
        except OSError as err:
            raise output_error(self.out, err) from err
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        held, self._held = self._held, None
        if held is None:
            return
        shutil.rmtree(held.path, ignore_errors=True)
        held.release()
        if isinstance(err, OSError) and _is_ours(err, held.path):
            raise output_error(self.out, err) from err

    @property
    def folder(self) -> Path:
        """Return the temporary folder in which the bundle grows."""
        if self._held is None:
            message = "BundleWriter is used outside of its 'with' block"
            raise RuntimeError(message)
        return self._held.path

    def path(self, name: str) -> Path:
        """Return where to write the file `name` (relative, POSIX); its folder is made.

        Raises:
            BundleError: `name` leaves the bundle.
            OutputError: Its folder cannot be made.
        """
        path = resolve_inside(self.folder, name)
        make_folder(path.parent)
        return path

    def finish(
        self, manifest: Mapping[str, object], *, check: Callable[[Path], object] | None = None
    ) -> Path:
        """Write `manifest` with the size and sha256 of every file, and move the bundle in place.

        Args:
            manifest: The manifest of docs/bundle.md without "files".
            check: Called with the folder, which is whole then but not yet in its place. An error
                that it raises leaves nothing there.

        Returns:
            The folder of the bundle.

        Raises:
            OutputError: The disk is full, permission is denied, or another run has written a
                bundle there meanwhile that may not be replaced.
        """
        try:
            files = {name: _entry(self.folder / name) for name in sorted(_names(self.folder))}
            write_json(self.folder / MANIFEST, {**manifest, "files": files})
            if check is not None:
                check(self.folder)
            _sync(self.folder)
            move_into_place(self.folder, self.out, overwrite=self.overwrite)
            _sync_folder(self.out.parent)
        except OSError as err:
            raise output_error(self.out, err) from err
        return self.out


def _is_ours(err: OSError, folder: Path) -> bool:
    """Say whether `err` is about writing the bundle, and not about a file that was read for it."""
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or (isinstance(err.filename, str) and Path(err.filename).is_relative_to(folder))


def _check_place(out: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise taken(out)
    if out.is_symlink() or not (out / MANIFEST).is_file():
        message = f"'{out}' is not a bundle (no {MANIFEST}), so it is not replaced."
        raise OutputError(message, hint="Choose another path.")


def _names(folder: Path) -> Iterator[str]:
    """Yield the files that a manifest lists, as relative POSIX paths."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and name.split("/")[0] not in UNLISTED_FOLDERS:
            yield name


def _entry(path: Path) -> dict[str, object]:
    return {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}


def _sync(folder: Path) -> None:
    """Bring every file to the disk, so that the rename cannot arrive before what it renames."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
