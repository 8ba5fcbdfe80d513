"""A journal of measurements, one JSON line per image, so that a run can be resumed.

A line is reused only for exactly the image and labels that it was measured on (it holds the hash
of their bytes), and only under the same key, which holds everything else that decides a result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edge_ovss._files import output_error, write_bytes
from edge_ovss.errors import InputError
from edge_ovss.evaluation.checked_lines import append_line, checked_line, parse_checked, read_lines
from edge_ovss.metrics.confusion import Confusion, pack_confusion, unpack_confusion
from edge_ovss.metrics.risk_coverage import Tally, pack_tally, unpack_tally

# A journal that differs in these belongs to another run, and may be worth hours.
_OF_ANOTHER_RUN = ("graph",)


@dataclass(frozen=True)
class JournalEntry:
    """The measurements of one image.

    Attributes:
        name: Name of the sample.
        confusion: int64 [K, K], or [K + 1, K + 1] with "unknown".
        timings_ms: Milliseconds by stage.
        counts: Number of categories that passed the threshold at each rejection.
        overflow: Whether the slots were too few for them.
        sha256: Hash of the image and its labels, see `Sample.sha256`.
        numbers: Pixels by number in the label file.
        tally: Wrong and right pixels by step of the measure, int64 [2, STEPS + 1], if the bundle
            outputs it.
    """

    name: str
    confusion: Confusion
    timings_ms: Mapping[str, float]
    counts: tuple[int, ...]
    overflow: bool
    sha256: str = ""
    numbers: Mapping[int, int] = field(default_factory=dict)
    tally: Tally | None = None

    def to_json(self) -> dict[str, object]:
        """Return the entry as a JSON object."""
        return {
            # File names may contain bytes that are not text.
            "name": self.name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "sha256": self.sha256,
            "confusion": pack_confusion(self.confusion),
            "timings_ms": {stage: round(time, 4) for stage, time in self.timings_ms.items()},
            "counts": list(self.counts),
            "overflow": self.overflow,
            "numbers": [[number, count] for number, count in sorted(self.numbers.items())],
            "tally": None if self.tally is None else pack_tally(self.tally),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, classes: int) -> JournalEntry:
        """Read what `to_json` wrote."""
        return cls(
            name=document["name"],
            confusion=unpack_confusion(document["confusion"], classes=classes),
            timings_ms=document["timings_ms"],
            counts=tuple(document["counts"]),
            overflow=document["overflow"],
            sha256=document["sha256"],
            numbers={int(number): int(count) for number, count in document["numbers"]},
            tally=None if document["tally"] is None else unpack_tally(document["tally"]),
        )


class Journal:
    """A file of entries under a key that says which run they belong to.

    Use it as a context manager. Lines that are truncated or damaged are dropped, and so are all
    lines if the key differs. Several processes may write one journal: lines are only appended, and
    a file that does not fit is replaced, never emptied.

    Args:
        path: The file; its folder must exist.
        key: Everything that decides a result, except the image and its labels.
        classes: K, the number of categories.
        fresh: Start over, even if there is a journal.

    Attributes:
        entries: Reusable entries by `JournalEntry.sha256`.
        differs: Parts in which the key of an earlier run differs; its entries are not used.
        damaged: Number of lines that could not be read.

    Raises:
        InputError: The file cannot be read, is not a journal, or belongs to another bundle.
    """

    def __init__(
        self, path: Path, *, key: Mapping[str, object], classes: int, fresh: bool = False
    ) -> None:
        self.path = path
        # In the form that comes back from the file: tuples become lists.
        self._key: dict[str, object] = json.loads(json.dumps(dict(key)))
        self._classes = classes
        self.entries: dict[str, JournalEntry] = {}
        self.differs: tuple[str, ...] = ()
        self.damaged = 0
        self._keeps_file = False
        self._stream: IO[bytes] | None = None
        if not fresh:
            self._read()

    def __enter__(self) -> Journal:
        """Open the file for appending; rewrite it first if entries were dropped.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            if not self._keeps_file:
                kept = [entry.to_json() for entry in self.entries.values()]
                lines = [checked_line({"key": self._key}), *map(checked_line, kept)]
                write_bytes(self.path, b"".join(lines))
            self._stream = self.path.open("ab", buffering=0)
        except OSError as err:
            raise output_error(self.path, err) from err
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, entry: JournalEntry) -> None:
        """Append an entry.

        Raises:
            OutputError: It cannot be written, for example because the disk is full.
        """
        if self._stream is None:
            message = "Journal is used outside of its 'with' block"
            raise RuntimeError(message)
        self.entries[entry.sha256] = entry
        try:
            append_line(self._stream, entry.to_json())
        except OSError as err:
            raise output_error(self.path, err) from err

    def _read(self) -> None:
        found = read_lines(self.path)
        if found is None:
            return
        head, *lines = found
        documents = [parse_checked(line) for line in lines if line]
        key = (parse_checked(head) or {}).get("key")
        if not isinstance(key, dict):
            self._require_journal(head, documents)
            self.damaged += found != [b""]
            return
        self._compare(key)
        if not self.differs:
            self._keep(documents)
            # Without a final line end the last line is truncated: nothing may be appended to it.
            self._keeps_file = found[-1] == b"" and not self.damaged

    def _keep(self, documents: list[dict[str, Any] | None]) -> None:
        for document in documents:
            try:
                entry = JournalEntry.from_json(document or {}, classes=self._classes)
                self.entries[entry.sha256] = entry
            except (KeyError, TypeError, ValueError, IndexError):
                self.damaged += 1

    def _require_journal(self, head: bytes, documents: list[dict[str, Any] | None]) -> None:
        """Check that a file without a key is a damaged journal, not an unrelated file."""
        if not head.strip(b"\0") or head.startswith(b'{"key') or any(documents):
            return
        message = f"'{self.path}' is not a journal of edge-ovss eval, and would be overwritten."
        raise InputError(message, hint="Start over with --fresh, or choose another --out.")

    def _compare(self, key: Mapping[str, object]) -> None:
        names = [*self._key, *(name for name in key if name not in self._key)]
        self.differs = tuple(name for name in names if key.get(name) != self._key.get(name))
        foreign = [name for name in self.differs if name in _OF_ANOTHER_RUN]
        if foreign:
            message = (
                f"The journal '{self.path}' belongs to another run: it differs in "
                f"{', '.join(self.differs)}."
            )
            raise InputError(message, hint="Start over with --fresh, or choose another --out.")


def read_entries(path: Path, *, classes: int) -> dict[str, JournalEntry]:
    """Return what a journal holds by `JournalEntry.name`, under whatever key.

    Args:
        path: The file; {} where there is none.
        classes: K, the number of categories.

    Raises:
        InputError: It cannot be read.
    """
    lines = read_lines(path) or []
    documents = (parse_checked(line) for line in lines[1:] if line)
    found = [JournalEntry.from_json(d, classes=classes) for d in documents if d is not None]
    return {entry.name: entry for entry in found}
