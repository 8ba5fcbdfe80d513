"""What was measured of each image, one line of JSON each, so that a run can be taken up again.

A line is used again only for the very image and labels that it was measured on (the hash of
their bytes is in it), and only under the same key: everything else that decides a result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edge_ovss._files import output_error, write_bytes
from edge_ovss._strict_parsing import DocumentError, parse_json
from edge_ovss.errors import InputError
from edge_ovss.metrics.confusion import Confusion, pack_confusion, unpack_confusion

_CHECK = "check"
# A journal that differs in these is another run's, and hours of it may be worth keeping.
_OF_ANOTHER_RUN = ("graph",)


@dataclass(frozen=True)
class Entry:
    """One image of a run.

    Attributes:
        name: Of the sample.
        confusion: int64 [K, K].
        timings_ms: Milliseconds by stage.
        counts: How many categories wanted to stay at each rejection.
        overflow: Whether there was too little room for them.
        sha256: Of the image and its labels, see `Sample.sha256`.
        numbers: Pixels by number in the label file.
    """

    name: str
    confusion: Confusion
    timings_ms: Mapping[str, float]
    counts: tuple[int, ...]
    overflow: bool
    sha256: str = ""
    numbers: Mapping[int, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Return the entry as a JSON object."""
        return {
            # Names of files may hold bytes that are no text.
            "name": self.name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "sha256": self.sha256,
            "confusion": pack_confusion(self.confusion),
            "timings_ms": {stage: round(time, 4) for stage, time in self.timings_ms.items()},
            "counts": list(self.counts),
            "overflow": self.overflow,
            "numbers": [[number, count] for number, count in sorted(self.numbers.items())],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, classes: int) -> Entry:
        """Return the entry that `to_json` described."""
        return cls(
            name=document["name"],
            confusion=unpack_confusion(document["confusion"], classes=classes),
            timings_ms=document["timings_ms"],
            counts=tuple(document["counts"]),
            overflow=document["overflow"],
            sha256=document["sha256"],
            numbers={int(number): int(count) for number, count in document["numbers"]},
        )


class Journal:
    """A file of entries under a key that says what run they belong to.

    Use it as a context manager. Lines that were cut off by the end of a process, or damaged
    since, are dropped, and so is everything where the key is another. Several processes may write
    one journal: lines are only ever put behind the others, and a file whose lines do not fit is
    replaced, never emptied.

    Args:
        path: The file; its folder must be there.
        key: Everything that decides a result, but for the image and its labels.
        classes: K.
        fresh: Begin anew, whatever is there.

    Attributes:
        entries: What can be used again, by `Entry.sha256`.
        differs: In what the key of an earlier run is another; its entries are not used.
        damaged: How many lines could not be read.

    Raises:
        InputError: The file cannot be read, is no journal, or belongs to another bundle.
    """

    def __init__(
        self, path: Path, *, key: Mapping[str, object], classes: int, fresh: bool = False
    ) -> None:
        self.path = path
        # As it comes back from the file: tuples become lists.
        self._key: dict[str, object] = json.loads(json.dumps(dict(key)))
        self._classes = classes
        self.entries: dict[str, Entry] = {}
        self.differs: tuple[str, ...] = ()
        self.damaged = 0
        self._keeps_file = False
        self._stream: IO[bytes] | None = None
        if not fresh:
            self._read()

    def __enter__(self) -> Journal:
        """Open the file to go on behind what is kept; write it anew where something is dropped.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            if not self._keeps_file:
                kept = [entry.to_json() for entry in self.entries.values()]
                lines = [_line({"key": self._key}), *(_line(document) for document in kept)]
                write_bytes(self.path, b"".join(lines))
            self._stream = self.path.open("ab", buffering=0)
        except OSError as err:
            raise output_error(self.path, err) from err
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, entry: Entry) -> None:
        """Keep an entry.

        Raises:
            OutputError: The disk is full.
        """
        if self._stream is None:
            message = "Journal is used outside of its 'with' block"
            raise RuntimeError(message)
        self.entries[entry.sha256] = entry
        rest = memoryview(_line(entry.to_json()))
        try:
            # As a rule one write: lines of another process in the same file stay whole.
            while rest:
                rest = rest[self._stream.write(rest) :]
        except OSError as err:
            raise output_error(self.path, err) from err

    def _read(self) -> None:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as err:
            message = f"The journal '{self.path}' cannot be read: {err.strerror or err}."
            raise InputError(message, hint="Begin anew with --fresh.") from err
        head, *lines = content.split(b"\n")
        documents = [_parse(line) for line in lines if line]
        key = (_parse(head) or {}).get("key")
        if not isinstance(key, dict):
            self._require_journal(head, documents)
            self.damaged += bool(content)
            return
        self._compare(key)
        if not self.differs:
            self._keep(documents)
            # What ends without a line end was cut off: nothing may be put behind it.
            self._keeps_file = content.endswith(b"\n") and not self.damaged

    def _keep(self, documents: list[dict[str, Any] | None]) -> None:
        for document in documents:
            try:
                entry = Entry.from_json(document or {}, classes=self._classes)
                self.entries[entry.sha256] = entry
            except (KeyError, TypeError, ValueError, IndexError):
                self.damaged += 1

    def _require_journal(self, head: bytes, documents: list[dict[str, Any] | None]) -> None:
        """Check that a file without a key is a damaged journal, and no file of somebody else."""
        if not head.strip(b"\0") or head.startswith(b'{"key') or any(documents):
            return
        message = f"'{self.path}' is no journal of edge-ovss eval, and would be overwritten."
        raise InputError(message, hint="Begin anew with --fresh, or choose another --out.")

    def _compare(self, key: Mapping[str, object]) -> None:
        names = [*self._key, *(name for name in key if name not in self._key)]
        self.differs = tuple(name for name in names if key.get(name) != self._key.get(name))
        foreign = [name for name in self.differs if name in _OF_ANOTHER_RUN]
        if foreign:
            message = (
                f"The journal '{self.path}' belongs to another run: it differs in "
                f"{', '.join(self.differs)}."
            )
            raise InputError(message, hint="Begin anew with --fresh, or choose another --out.")


def _line(document: Mapping[str, object]) -> bytes:
    """Return a line with a hash of itself, so that a changed digit does not go unseen."""
    text = json.dumps(document)
    return json.dumps({**document, _CHECK: _check(text)}).encode("ascii") + b"\n"


def _check(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line; None where it is cut off or damaged."""
    try:
        document = parse_json(line)
        if not isinstance(document, dict):
            return None
        found = document.pop(_CHECK, None)
        return document if found == _check(json.dumps(document)) else None
    except DocumentError:
        return None
