"""What was measured of each picture, one line of JSON each, so that a run can be taken up again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge_ovss._strict import DocumentError, parse_json
from edge_ovss.errors import InputError
from edge_ovss.evaluation.confusion import Confusion, pack_confusion, unpack_confusion
from edge_ovss.runtime.writing import output_error


@dataclass(frozen=True)
class Entry:
    """One picture of a run.

    Attributes:
        name: Of the sample.
        confusion: int64 [K, K].
        timings_ms: Milliseconds by stage.
        counts: How many categories wanted to stay at each rejection.
        overflow: Whether there was too little room for them.
    """

    name: str
    confusion: Confusion
    timings_ms: Mapping[str, float]
    counts: tuple[int, ...]
    overflow: bool

    def to_json(self) -> dict[str, object]:
        """Return the entry as a JSON object."""
        return {
            "name": self.name,
            "confusion": pack_confusion(self.confusion),
            "timings_ms": {stage: round(time, 4) for stage, time in self.timings_ms.items()},
            "counts": list(self.counts),
            "overflow": self.overflow,
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
        )


class Journal:
    """A file of entries under a key that says what run they belong to.

    Use it as a context manager. A line that was cut off by the end of the process is dropped.

    Args:
        path: The file; its folder must be there.
        key: Everything that decides a result. It must be the same to go on.
        classes: K.
        fresh: Begin anew, whatever is there.
    """

    def __init__(
        self, path: Path, *, key: Mapping[str, object], classes: int, fresh: bool = False
    ) -> None:
        self.path = path
        self._key, self._classes = dict(key), classes
        self.entries: dict[str, Entry] = {} if fresh else self._read()
        self._stream: IO[str] | None = None

    def __enter__(self) -> Journal:
        """Write what is kept, and open the file to go on behind it.

        Raises:
            OutputError: The file cannot be written.
        """
        try:
            self._stream = self.path.open("w", encoding="utf-8")
            self._write_line({"key": self._key})
            for entry in self.entries.values():
                self._write_line(entry.to_json())
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
        self.entries[entry.name] = entry
        try:
            self._write_line(entry.to_json())
        except OSError as err:
            raise output_error(self.path, err) from err

    def _write_line(self, document: object) -> None:
        if self._stream is None:
            message = "Journal is used outside of its 'with' block"
            raise RuntimeError(message)
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()

    def _read(self) -> dict[str, Entry]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as err:
            message = f"The journal '{self.path}' cannot be read: {err}."
            raise InputError(message, hint="Begin anew with --fresh.") from err
        documents = [document for line in lines if (document := _parse(line)) is not None]
        if not documents:
            return {}
        self._require_same_run(documents[0].get("key"))
        entries = (Entry.from_json(d, classes=self._classes) for d in documents[1:])
        return {entry.name: entry for entry in entries}

    def _require_same_run(self, key: object) -> None:
        if key == self._key:
            return
        old = key if isinstance(key, dict) else {}
        differing = [name for name in self._key if old.get(name) != self._key[name]]
        message = (
            f"The journal '{self.path}' belongs to another run: it differs in "
            f"{', '.join(differing) or 'its form'}."
        )
        raise InputError(message, hint="Begin anew with --fresh, or choose another --out.")


def _parse(line: str) -> dict[str, Any] | None:
    try:
        document = parse_json(line)
    except DocumentError:
        return None
    return document if isinstance(document, dict) else None
