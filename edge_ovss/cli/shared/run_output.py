"""Print the results of `run` as they come: a row or a JSON object per frame; none is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edge_ovss._safe_text import json_ready
from edge_ovss.cli.shared.console import put
from edge_ovss.runtime.overflow import enough_slots

_TOP = 3
_WIDTHS = (24, 11, 10, 7)
_HEADER = ("frame", "size", "infer ms", "alive", "most of it")


@dataclass
class Tally:
    """Totals over all results, of a size that does not depend on their number.

    Attributes:
        frames: Number of frames.
        reran: Number of frames that ran again with the spare graph.
        over: Number of frames in which more categories wanted to stay than there were slots.
        most: The largest counts of those frames, int by rejection.
        slots: The slots that were too few.
    """

    frames: int = 0
    reran: int = 0
    over: int = 0
    most: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Count one result, as `AnswerWriter.write` returns it."""
        self.frames += 1
        self.reran += bool(answer["reran"])
        if not answer["overflow"]:
            return
        self.over += 1
        counts = answer["counts"]
        self.most = [max(pair) for pair in zip(self.most or counts, counts, strict=True)]
        self.slots = self.slots or list(answer["slots"])

    def overflow(self) -> str:
        """Return a sentence on the frames with too few slots, and what to do."""
        enough = enough_slots(self.most, self.slots)
        return (
            f"in {self.over} of {self.frames} frames more categories wanted to stay than there "
            f"are slots (counts up to {_numbers(self.most)}, slots {_numbers(self.slots)}); the "
            f"weakest were dropped. Export again with --slots {_numbers(enough)}, which is "
            "enough for these frames, or with --slots auto --calibration DIR"
        )


class Table:
    """A table with a row for every frame.

    Args:
        facts: Holds the output folder as "out"; None where nothing is written for a frame.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._out = facts["out"]
        self._rows = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Print one row, with the header above the first."""
        if self._rows == 0:
            put(_row(_HEADER))
        self._rows += 1
        shares = list(answer["shares"].items())[:_TOP]
        most = ", ".join(f"{name.strip()} {100 * share:.0f} %" for name, share in shares)
        if answer["unknown"]:
            most += f"{', ' if most else ''}unknown {100 * answer['unknown']:.0f} %"
        size = f"{answer['height']}x{answer['width']}"
        infer = f"{answer['timings_ms']['infer']:.1f}"
        put(_row((answer["name"], size, infer, str(len(answer["alive"])), most)))

    def end(self, rest: dict[str, Any]) -> None:
        """Print the number of frames; the rest of `rest` is shown as warnings."""
        del rest
        done = "segmented" if self._out is None else f"written to {self._out}"
        put(f"{self._rows} frame{'' if self._rows == 1 else 's'} {done}")


class Document:
    """One JSON document whose list of frames grows; complete once `end` was called.

    Args:
        facts: The keys before the frames.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._frames = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Print one result as an object of the list "frames"."""
        before = "," if self._frames else self._head()
        self._frames += 1
        put(f"{before}\n{_indented(answer, 4)}", end="")

    def end(self, rest: dict[str, Any]) -> None:
        """Print the keys after the frames, and close the document."""
        before = "\n  ]" if self._frames else f"{self._head()}]"
        tail = "".join(f",\n  {json.dumps(key)}: {_json(value)}" for key, value in rest.items())
        put(f"{before}{tail}\n}}")

    def _head(self) -> str:
        facts = "".join(f"  {json.dumps(key)}: {_json(v)},\n" for key, v in self._facts.items())
        return f'{{\n{facts}  "frames": ['


class Lines:
    """One line of JSON for each frame, and nothing else."""

    def add(self, answer: dict[str, Any]) -> None:
        """Print one result."""
        put(json.dumps(json_ready(answer)))

    def end(self, rest: dict[str, Any]) -> None:
        """Print nothing: what failed is said on stderr."""


def how_it_ended(ended_by: BaseException | None) -> dict[str, object]:
    """Return what ended a run early, for the end of its document; a signal is no error."""
    interrupted = isinstance(ended_by, KeyboardInterrupt)
    error = None if interrupted or ended_by is None else str(ended_by)
    return {"error": error, "interrupted": interrupted}


def _json(value: object) -> str:
    return _indented(value, 2).lstrip()


def _indented(value: object, by: int) -> str:
    text = json.dumps(json_ready(value), indent=2)
    return "\n".join(" " * by + line for line in text.splitlines())


def _row(cells: tuple[str, ...]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(_WIDTHS) :]]).rstrip()


def _numbers(values: list[int]) -> str:
    return ",".join(str(value) for value in values)
