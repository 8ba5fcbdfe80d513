"""Write a bundle, or another folder, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from edge_ovss._files import make_folder, output_error, sha256_of_file, write_json
from edge_ovss._leftovers import Held
from edge_ovss.bundle.reader import MANIFEST, UNLISTED_FOLDERS, resolve_inside
from edge_ovss.bundle.replacement import mend, move_into_place, new_beside, taken
from edge_ovss.errors import OutputError

_Folder = TypeVar("_Folder", bound="NewFolder")


class NewFolder:
    """A folder that grows beside its place, and is moved there when all is written.

    Use it as a context manager; when the block is left before `move_into_place`, or by any
    exception, nothing of the folder remains. What a run for the same place left behind that was
    killed is mended first, and said (`replacement`).

    Args:
        out: The folder to write.
        overwrite: Replace one of its kind that is already there.
    """

    def __init__(self, out: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.out = Path(out).expanduser().absolute()
        self.overwrite = overwrite
        self._held: Held | None = None

    def prepare_place(self, is_of_its_kind: Callable[[Path], bool], otherwise: str) -> None:
        """Mend the place, and check that it is free or may be replaced.

        Args:
            is_of_its_kind: Whether a folder is one that this one may replace.
            otherwise: What to say of a path that is none.

        Raises:
            OutputError: Something is at `out` that may not be replaced.
        """
        mend(self.out)
        if not os.path.lexists(self.out):
            return
        if not self.overwrite:
            raise taken(self.out)
        if self.out.is_symlink() or not is_of_its_kind(self.out):
            message = f"'{self.out}' {otherwise}, so it is not replaced."
            raise OutputError(message, hint="Choose another path.")

    def __enter__(self: _Folder) -> _Folder:
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
        """Return the temporary folder in which the files are collected."""
        if self._held is None:
            message = f"{type(self).__name__} is used outside of its 'with' block"
            raise RuntimeError(message)
        return self._held.path

    def path(self, name: str) -> Path:
        """Return where to write the file `name` (relative, POSIX); its folder is made.

        Raises:
            BundleError: `name` leaves the folder.
            OutputError: Its folder cannot be made.
        """
        path = resolve_inside(self.folder, name)
        make_folder(path.parent)
        return path

    def move_into_place(self) -> None:
        """Bring all files to the disk, and move the folder to its place.

        Raises:
            OSError: The disk is full, or permission is denied.
            OutputError: Another run has written something there meanwhile.
        """
        _sync(self.folder)
        move_into_place(self.folder, self.out, overwrite=self.overwrite)
        _sync_folder(self.out.parent)


class BundleWriter(NewFolder):
    """Collect the files of a bundle, which `finish` moves to their place.

    Args:
        out: The folder to write.
        overwrite: Replace a bundle that is already there.

    Raises:
        OutputError: Something is at `out` that may not be replaced.
    """

    def __init__(self, out: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        super().__init__(out, overwrite=overwrite)
        self.prepare_place(_is_bundle, f"is not a bundle (no {MANIFEST})")

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
            files = {name: file_entry(self.folder / name) for name in sorted(_names(self.folder))}
            write_json(self.folder / MANIFEST, {**manifest, "files": files})
            if check is not None:
                check(self.folder)
            self.move_into_place()
        except OSError as err:
            raise output_error(self.out, err) from err
        return self.out


def _is_bundle(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _is_ours(err: OSError, folder: Path) -> bool:
    """Say whether `err` is about writing the folder, and not about a file that was read for it."""
    full = err.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or (isinstance(err.filename, str) and Path(err.filename).is_relative_to(folder))


def _names(folder: Path) -> Iterator[str]:
    """Yield the files that a manifest lists, as relative POSIX paths."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != MANIFEST and name.split("/")[0] not in UNLISTED_FOLDERS:
            yield name


def file_entry(path: Path) -> dict[str, object]:
    """Return the hash and the size of a file, as manifests list them."""
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
