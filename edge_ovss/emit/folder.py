"""A folder of files made from a bundle, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from edge_ovss._files import output_error, write_json
from edge_ovss._safe_text import json_ready
from edge_ovss._strict_parsing import DocumentError, read_json
from edge_ovss.bundle.reader import Bundle
from edge_ovss.bundle.writer import NewFolder, file_entry
from edge_ovss.emit.origin import Origin
from edge_ovss.errors import OutputError

RECORD = "emitted.json"
"""Lists every file with its sha256, also those that hold no text of their own; the last written."""


class EmittedFolder(NewFolder):
    """Collect files beside their place, and move them there when all are written.

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
        super().__init__(out, overwrite=overwrite)
        self.origin = Origin.of(bundle)
        self.what = what
        _keep_apart(self.out, bundle.path)
        self.prepare_place(self._is_of_its_kind, f"was not written by {self._made_by}")

    @property
    def _made_by(self) -> str:
        return f"edge-ovss emit {self.what}"

    def _is_of_its_kind(self, path: Path) -> bool:
        try:
            record = read_json(path / RECORD)
        except (OSError, ValueError, DocumentError):
            return False
        return isinstance(record, dict) and record.get("made_by") == self._made_by

    def write(self, name: str, data: str | bytes) -> None:
        """Write the file `name` (relative, POSIX); text in UTF-8.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.path(name)
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
        path = self.path(name)
        try:
            shutil.copyfile(source, path)
        except OSError as err:
            raise output_error(self.out, err) from err

    def finish(self) -> dict[str, object]:
        """Write the record and move the folder to its place; return the record.

        Raises:
            OutputError: It cannot be written, or something is in the way.
        """
        try:
            record = {"made_by": self._made_by, **self.origin.document()}
            record["files"] = {name: file_entry(self.folder / name) for name in self._names()}
            write_json(self.folder / RECORD, record)
            self.move_into_place()
        except OSError as err:
            raise output_error(self.out, err) from err
        return record

    def _names(self) -> list[str]:
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in paths)


def _keep_apart(out: Path, bundle: Path) -> None:
    """Refuse a place in the bundle, and one in which the bundle is: neither may change.

    Raises:
        OutputError: They are not apart.
    """
    place, source = out.resolve(), bundle.resolve()
    if place.is_relative_to(source) or source.is_relative_to(place):
        message = f"--out is '{out}', which holds the bundle '{bundle}' or lies in it."
        raise OutputError(message, hint="Choose a folder beside the bundle.")
