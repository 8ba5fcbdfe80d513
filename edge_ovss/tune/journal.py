"""The journal of a run: one line per measurement, so that a run that was killed goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge_ovss._files import output_error, write_bytes
from edge_ovss.errors import InputError, OutputError
from edge_ovss.evaluation.checked_lines import append_line, checked_line, parse_checked, read_lines

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

JOURNAL = "journal.jsonl"
_RUN = "run"


class RunJournal:
    """The rows of a run, in a file whose first line says which run it is.

    Use it as a context manager; it locks the file, so that two runs do not share a folder. A last
    line that was cut off is dropped.

    Args:
        path: The file; its folder must exist.
        run: Everything that decides what is measured.
        fresh: Start over, even if there is a journal.

    Attributes:
        rows: What was measured, in order.

    Raises:
        InputError: The file is no journal, or of another run.
        OutputError: It cannot be written, or another run writes it.
    """

    def __init__(self, path: Path, run: Mapping[str, object], *, fresh: bool = False) -> None:
        self.path, self._fresh = path, fresh
        self._run: dict[str, object] = json.loads(json.dumps(dict(run)))
        self.rows: list[dict[str, Any]] = []
        self._folder = -1
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> RunJournal:
        """Lock the folder, read what is there, and open the file for appending.

        Raises:
            InputError: The file is no journal, or of another run.
            OutputError: It cannot be written, or another run writes it.
        """
        try:
            self._folder = os.open(self.path.parent, os.O_RDONLY)
            self._lock()
            if not self._fresh:
                self._read()
            lines = [checked_line({_RUN: self._run}), *map(checked_line, self.rows)]
            write_bytes(self.path, b"".join(lines))
            self._stream = self.path.open("ab", buffering=0)
        except OSError as err:
            self.__exit__()
            raise output_error(self.path, err) from err
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()
        if self._folder >= 0:
            os.close(self._folder)
        self._folder, self._stream = -1, None

    def add(self, row: Mapping[str, object]) -> None:
        """Write a row to the disk before anything else is measured.

        Raises:
            OutputError: It cannot be written.
        """
        if self._stream is None:
            message = "RunJournal is used outside of its 'with' block"
            raise RuntimeError(message)
        try:
            append_line(self._stream, row)
            os.fsync(self._stream.fileno())
        except OSError as err:
            raise output_error(self.path, err) from err
        self.rows.append(dict(row))

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            message = f"Another run is writing '{self.path}'."
            raise OutputError(message, hint="Wait for it, or choose another --out.") from err
        except OSError:  # a file system without locks
            return

    def _read(self) -> None:
        found = read_lines(self.path)
        if found is None:
            return
        head, *lines = found
        if self._is_cut_off(head) and not any(lines):
            return  # the machine went off before anything was measured
        run = (parse_checked(head) or {}).get(_RUN)
        if not isinstance(run, dict):
            message = f"'{self.path}' is not a journal of edge-ovss tune, and would be overwritten."
            raise InputError(message, hint="Start over with --fresh, or choose another --out.")
        self._require_same(run)
        for line in lines:
            row = parse_checked(line) if line else None
            if row is None:
                break
            self.rows.append(row)

    def _is_cut_off(self, head: bytes) -> bool:
        """Return whether a first line is the beginning of the one of this run, and nothing else."""
        whole = checked_line({_RUN: self._run})
        return whole.startswith(head.rstrip(b"\0")) and head != whole.rstrip(b"\n")

    def _require_same(self, run: Mapping[str, object]) -> None:
        names = dict.fromkeys((*self._run, *run))
        other = [name for name in names if run.get(name) != self._run.get(name)]
        if other:
            message = (
                f"The journal '{self.path}' is of another run: it differs in {', '.join(other)}."
            )
            raise InputError(message, hint="Start over with --fresh, or choose another --out.")
