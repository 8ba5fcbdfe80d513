"""A folder of files made from a bundle, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import TracebackType

from edge_ovss._files import make_folder, output_error, sha256_of_file, write_json
from edge_ovss._leftovers import Held
from edge_ovss._safe_text import json_ready
from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.reader import Bundle, resolve_inside
from edge_ovss.bundle.replacement import mend, move_into_place, new_beside, taken
from edge_ovss.emit.origin import Origin
from edge_ovss.errors import OutputError

RECORD = "emitted.json"
"""Lists every file with its sha256, also those that hold no text of their own; the last written."""


class EmittedFolder:
    """Collect files beside their place, and move them there when all are written.

    Use it as a context manager: a block that ends in an exception leaves nothing.

    Args:
        out: The folder to write.
        bundle: What it is made of; `out` must not be in it, nor hold it.
        what: The action, such as "triton".
        overwrite: Replace a folder that this action has written before.

    Raises:
        OutputError: Something is at `out` that may not be replaced, or the bundle is.
    """

    def __init__(
        self, out: str | os.PathLike[str], bundle: Bundle, what: str, *, overwrite: bool = False
    ) -> None:
        self.out = Path(out).expanduser().absolute()
        self.origin = Origin.of(bundle)
        self.what = what
        self.overwrite = overwrite
        self._held: Held | None = None
        _keep_apart(self.out, bundle.path)
        mend(self.out)
        _check_place(self.out, what, overwrite=overwrite)

    def __enter__(self) -> EmittedFolder:
        make_folder(self.out.parent)
        try:
            self._held = new_beside(self.out)
            self._held.path.chmod(0o755)
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
        if held is not None:
            shutil.rmtree(held.path, ignore_errors=True)
            held.release()

    @property
    def _folder(self) -> Path:
        if self._held is None:
            message = "EmittedFolder is used outside of its 'with' block"
            raise RuntimeError(message)
        return self._held.path

    def write(self, name: str, data: str | bytes) -> None:
        """Write the file `name` (relative, POSIX); text in UTF-8.

        Raises:
            OutputError: It cannot be written.
        """
        path = self._place(name)
        try:
            path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
        except OSError as err:
            raise output_error(self.out, err) from err

    def write_json(self, name: str, document: object) -> None:
        """Write `document` as the file `name`: indented JSON in UTF-8.

        Raises:
            OutputError: It cannot be written.
        """
        self.write(name, json.dumps(json_ready(document), indent=2, ensure_ascii=False) + "\n")

    def copy(self, name: str, source: Path) -> None:
        """Copy the file `source` to `name`.

        Raises:
            OutputError: It cannot be read or written.
        """
        path = self._place(name)
        try:
            shutil.copyfile(source, path)
        except OSError as err:
            raise output_error(self.out, err) from err

    def _place(self, name: str) -> Path:
        path = resolve_inside(self._folder, name)
        make_folder(path.parent)
        return path

    def finish(self) -> dict[str, object]:
        """Write the record and move the folder to its place; return the record.

        Raises:
            OutputError: It cannot be written, or something is in the way.
        """
        try:
            record = {"made_by": f"edge-ovss emit {self.what}", **self.origin.document()}
            record["files"] = {name: _entry(self._folder / name) for name in self._names()}
            write_json(self._folder / RECORD, record)
            move_into_place(self._folder, self.out, overwrite=self.overwrite)
        except OSError as err:
            raise output_error(self.out, err) from err
        return record

    def _names(self) -> list[str]:
        paths = (path for path in self._folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self._folder).as_posix() for path in paths)


def _entry(path: Path) -> dict[str, object]:
    return {"sha256": sha256_of_file(path), "bytes": path.stat().st_size}


def _keep_apart(out: Path, bundle: Path) -> None:
    """Refuse a place in the bundle, and one in which the bundle is: neither may change.

    Raises:
        OutputError: They are not apart.
    """
    place, source = out.resolve(), bundle.resolve()
    if place.is_relative_to(source) or source.is_relative_to(place):
        message = f"--out is '{out}', which holds the bundle '{bundle}' or lies in it."
        raise OutputError(message, hint="Choose a folder beside the bundle.")


def _check_place(out: Path, what: str, *, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise taken(out)
    if out.is_symlink() or not _is_of(out, what):
        message = f"'{out}' was not written by edge-ovss emit {what}, so it is not replaced."
        raise OutputError(message, hint="Choose another path.")


def _is_of(out: Path, what: str) -> bool:
    try:
        record = read_json(out / RECORD)
    except (OSError, ValueError, DocumentError):
        return False
    return isinstance(record, dict) and record.get("made_by") == f"edge-ovss emit {what}"
