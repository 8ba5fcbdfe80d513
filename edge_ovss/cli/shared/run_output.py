"""What `run` prints while it goes: a row or a JSON object for every frame, and none is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from edge_ovss._safe_text import json_ready
from edge_ovss.cli.shared.console import put

_TOP = 3
_WIDTHS = (24, 11, 10, 7)
_HEADER = ("frame", "size", "infer ms", "alive", "most of it")


@dataclass
class Tally:
    """What is known of all answers together; its size does not depend on how many there are.

    Attributes:
        frames: How many there were.
        reran: How many ran again with the spare graph.
        over: In how many more categories wanted to stay than there were slots.
        most: The largest counts of those, int by rejection.
        slots: How many could stay, where that was too few.
    """

    frames: int = 0
    reran: int = 0
    over: int = 0
    most: list[int] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)

    def add(self, answer: dict[str, Any]) -> None:
        """Count one answer, as `AnswerWriter.write` returns it."""
        self.frames += 1
        self.reran += bool(answer["reran"])
        if not answer["overflow"]:
            return
        self.over += 1
        counts = answer["counts"]
        self.most = [max(pair) for pair in zip(self.most or counts, counts, strict=True)]
        self.slots = self.slots or list(answer["slots"])

    def overflow(self) -> str:
        """Return in words that slots were too few, and what to do."""
        enough = enough_slots(self.most, self.slots)
        return (
            f"in {self.over} of {self.frames} frames more categories wanted to stay than there "
            f"are slots (counts up to {_numbers(self.most)}, slots {_numbers(self.slots)}); the "
            f"weakest were dropped. Export again with --slots {_numbers(enough)}, which "
            "surely suffices for these frames, or with --slots auto --calibration DIR"
        )


def enough_slots(counts: list[int], slots: list[int]) -> list[int]:
    """Return slots that suffice for `counts` surely.

    Counts after an overflow are of what the slots let through, so the true ones may be larger;
    they cannot be larger than the count that overflowed.
    """
    enough: list[int] = []
    bound = 0
    for count, slot in zip(counts, slots, strict=False):
        bound = max(bound, count if count > slot else 0)
        enough.append(max(slot, bound))
    return enough


class Table:
    """A row for every frame, for people.

    Args:
        facts: With the folder that was written to, as "out".
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._out = facts["out"]
        self._rows = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Print the row of one answer, with the header above the first."""
        if self._rows == 0:
            put(_row(_HEADER))
        self._rows += 1
        shares = list(answer["shares"].items())[:_TOP]
        most = ", ".join(f"{name.strip()} {100 * share:.0f} %" for name, share in shares)
        size = f"{answer['height']}x{answer['width']}"
        infer = f"{answer['timings_ms']['infer']:.1f}"
        put(_row((answer["name"], size, infer, str(len(answer["alive"])), most)))

    def end(self, rest: dict[str, Any]) -> None:
        """Print how many there were; what else `rest` says is told in warnings."""
        del rest
        put(f"{self._rows} frame{'' if self._rows == 1 else 's'} written to {self._out}")


class Document:
    """One JSON document whose list of frames grows as they come; whole once `end` was called.

    Args:
        facts: What stands before the frames.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._frames = 0

    def add(self, answer: dict[str, Any]) -> None:
        """Print one answer as an object of the list "frames"."""
        before = "," if self._frames else self._head()
        self._frames += 1
        put(f"{before}\n{_indented(answer, 4)}", end="")

    def end(self, rest: dict[str, Any]) -> None:
        """Print what stands after the frames, and close the document."""
        before = "\n  ]" if self._frames else f"{self._head()}]"
        tail = "".join(f",\n  {json.dumps(key)}: {_json(value)}" for key, value in rest.items())
        put(f"{before}{tail}\n}}")

    def _head(self) -> str:
        facts = "".join(f"  {json.dumps(key)}: {_json(v)},\n" for key, v in self._facts.items())
        return f'{{\n{facts}  "frames": ['


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
