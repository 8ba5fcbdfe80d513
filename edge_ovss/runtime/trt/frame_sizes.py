"""The frame sizes an engine accepts: one, or a range with the size it is tuned for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_ovss.errors import UsageError

Size = tuple[int, int]

_FORM = re.compile(r"(\d{1,5})[xX](\d{1,5})")
_LARGEST = 16384


@dataclass(frozen=True)
class FrameRange:
    """Smallest, best and largest (height, width); all equal if the size is pinned."""

    smallest: Size
    best: Size
    largest: Size

    def __post_init__(self) -> None:
        for low, middle, high in zip(self.smallest, self.best, self.largest, strict=True):
            if not 1 <= low <= middle <= high <= _LARGEST:
                message = (
                    f"Frame sizes are {text(self.smallest)}, {text(self.best)} and "
                    f"{text(self.largest)}; expected smallest, best and largest in order, "
                    f"sides of 1 to {_LARGEST}."
                )
                raise UsageError(message, hint="Sizes are HEIGHTxWIDTH, such as 480x640.")

    @classmethod
    def pinned(cls, size: Size) -> FrameRange:
        """Return a range of one size."""
        return cls(size, size, size)

    @property
    def is_pinned(self) -> bool:
        """Whether the range has only one size."""
        return self.smallest == self.largest

    def __contains__(self, size: object) -> bool:
        return isinstance(size, tuple) and all(
            low <= side <= high
            for low, side, high in zip(self.smallest, size, self.largest, strict=True)
        )

    def __str__(self) -> str:
        if self.is_pinned:
            return text(self.best)
        return f"{text(self.smallest)}…{text(self.largest)} (best {text(self.best)})"

    def options(self) -> list[str]:
        """Return the range as arguments of `edge-ovss build`."""
        if self.is_pinned:
            return ["--size", text(self.best)]
        sizes = (("--min", self.smallest), ("--opt", self.best), ("--max", self.largest))
        return [word for option, size in sizes for word in (option, text(size))]


def text(size: Size) -> str:
    """Return "HEIGHTxWIDTH"."""
    height, width = size
    return f"{height}x{width}"


def parse_size(written: str, *, option: str) -> Size:
    """Read "HEIGHTxWIDTH".

    Raises:
        UsageError: It has the wrong form.
    """
    found = _FORM.fullmatch(written.strip())
    if found is None:
        message = f"{option} is '{written}'; expected HEIGHTxWIDTH, such as 480x640."
        raise UsageError(message)
    return int(found[1]), int(found[2])


def parse_range(
    *, size: str | None, smallest: str | None, best: str | None, largest: str | None, default: Size
) -> FrameRange:
    """Read the options --size, or --min, --opt and --max.

    Args:
        size: Value of --size.
        smallest: Value of --min.
        best: Value of --opt; None for the largest.
        largest: Value of --max.
        default: The size to pin if no option is given.

    Raises:
        UsageError: Options contradict each other, or one has the wrong form.
    """
    if smallest is None and best is None and largest is None:
        return FrameRange.pinned(default if size is None else parse_size(size, option="--size"))
    if size is not None:
        message = "--size is given together with --min, --opt or --max; expected one or the other."
        raise UsageError(message, hint="--size pins the frame size; the others give a range.")
    if smallest is None or largest is None:
        message = "A range of frame sizes needs both --min and --max."
        raise UsageError(message, hint="For example --min 240x320 --opt 480x640 --max 720x1280.")
    return FrameRange(
        parse_size(smallest, option="--min"),
        parse_size(best or largest, option="--opt"),
        parse_size(largest, option="--max"),
    )
