"""Draw the legend of an overlay: a strip below or beside it with colors, names and shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.runtime.draw_text import Lettering

PAPER = 250
_INK = (38, 38, 42)
_PALE = (118, 118, 124)
_SMALLEST_CAPITAL = 9.0


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend: name, color (RGB; None for the rest), and share of pixels."""

    name: str
    color: tuple[int, int, int] | None
    share: float

    @property
    def percent(self) -> str:
        """The share as text, such as "12.3 %"."""
        return f"{100 * self.share:.1f} %" if self.share >= 0.001 else "< 0.1 %"


@dataclass(frozen=True)
class Grid:
    """The layout of a legend's entries, in pixels; filled column by column."""

    columns: int
    rows: int
    entry_width: int
    line: int
    margin: int
    gap: int

    @property
    def width(self) -> int:
        """Least width of the legend."""
        return self.columns * (self.entry_width + self.gap) - self.gap + 2 * self.margin

    @property
    def height(self) -> int:
        """Height of the legend."""
        return self.rows * self.line + 2 * self.margin


def draw_legend(entries: Sequence[LegendEntry], *, height: int, width: int) -> NDArray[np.uint8]:
    """Return a legend for an image of (height, width), uint8 [h, w, 3] RGB.

    For a landscape image it is a strip to place below, of at least the image's width; otherwise
    one to place beside, of at least its height. The text size scales with the image.
    """
    lettering = Lettering(max(_SMALLEST_CAPITAL, 0.0155 * math.sqrt(height * width)))
    below = width >= height
    grid = _grid(entries, lettering, width=width if below else 0)
    shape = (
        (grid.height, max(width, grid.width)) if below else (max(height, grid.height), grid.width)
    )
    strip = np.full((*shape, 3), PAPER, np.uint8)
    for index, entry in enumerate(entries):
        column, row = divmod(index, grid.rows)
        x = grid.margin + column * (grid.entry_width + grid.gap)
        _draw_entry(strip, entry, grid, lettering, (x, grid.margin + row * grid.line))
    return strip


def _grid(entries: Sequence[LegendEntry], lettering: Lettering, *, width: int) -> Grid:
    """Arrange the entries in as many columns as fit into `width`; 0 means one column."""
    capital = lettering.capital
    margin, gap = round(1.6 * capital), round(3.4 * capital)
    names = max((lettering.width(entry.name) for entry in entries), default=0)
    names = min(names, round(22 * capital))
    entry_width = _swatch(capital) + names + lettering.width("100.0 %") + round(1.9 * capital)
    fitting = max(1, (width - 2 * margin + gap) // (entry_width + gap))
    rows = max(1, math.ceil(len(entries) / fitting))
    columns = max(1, math.ceil(len(entries) / rows))
    if width:  # spread the columns over the whole strip
        spread = (width - 2 * margin + gap) // columns - gap
        entry_width = max(entry_width, min(spread, round(24 * capital)))
    return Grid(columns, rows, entry_width, round(2.15 * capital), margin, gap)


def _swatch(capital: float) -> int:
    return round(1.9 * capital)


def _draw_entry(
    strip: NDArray[np.uint8],
    entry: LegendEntry,
    grid: Grid,
    lettering: Lettering,
    corner: tuple[int, int],
) -> None:
    cv2 = require("cv2", extra="onnxruntime")
    x, y = corner
    capital = lettering.capital
    wide, high = _swatch(capital), round(1.35 * capital)
    top = y + (grid.line - high) // 2
    if entry.color is not None:
        edge = tuple(round(0.7 * part) for part in entry.color)
        cv2.rectangle(strip, (x, top), (x + wide, top + high), entry.color, -1)
        cv2.rectangle(strip, (x, top), (x + wide, top + high), edge, max(1, round(capital / 12)))
    baseline = y + (grid.line + round(capital)) // 2
    share = lettering.width(entry.percent)
    left = x + wide + round(0.7 * capital)
    room = grid.entry_width - (left - x) - share - round(0.8 * capital)
    ink = _INK if entry.color is not None else _PALE
    lettering.draw(strip, lettering.fit(entry.name, room), (left, baseline), ink)
    lettering.draw(strip, entry.percent, (x + grid.entry_width - share, baseline), _PALE)
