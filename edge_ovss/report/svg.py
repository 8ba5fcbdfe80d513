"""Plots as inline SVG; the page defines their colors, for light and dark mode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

Point = tuple[float, float]

_WIDTH = 720
_NAME = 170
_VALUE = 96
_MOST_ROWS = 60
# The ends of the axes of a plot of lines.
_HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 260, 56, _WIDTH - 16, 12, 222


@dataclass(frozen=True)
class Bar:
    """One row of a bar plot: a name, a value in [0, 100] or None, and a value to compare with."""

    name: str
    value: float | None
    other: float | None = None


def bar_plot(bars: Sequence[Bar], *, title: str) -> str:
    """Return horizontal bars in percent; `other` is a tick on the same row."""
    shown = bars[:_MOST_ROWS]
    row, top = 22, 8
    height = top + row * len(shown) + 28
    left, right = _NAME, _WIDTH - _VALUE
    parts = [_open(height, title)]
    for step in range(0, 101, 25):
        x = left + (right - left) * step / 100
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - 24}"/>'
        )
        parts.append(f'<text class="dim" x="{x:.1f}" y="{height - 8}" {_MIDDLE}>{step}</text>')
    for index, bar in enumerate(shown):
        parts += _row(bar, y=top + row * index, row=row, left=left, right=right)
    return "".join([*parts, "</svg>"])


_MIDDLE = 'text-anchor="middle"'


def _open(height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>"
    )


def _row(bar: Bar, *, y: float, row: int, left: float, right: float) -> list[str]:
    middle = y + row / 2 + 4
    parts = [
        f'<text x="{left - 8}" y="{middle:.1f}" text-anchor="end">{escape(_short(bar.name))}</text>'
    ]
    width = right - left
    if bar.value is not None:
        wide = max(width * bar.value / 100, 0.5)
        parts.append(
            f'<rect class="one" x="{left}" y="{y + 4:.1f}" width="{wide:.1f}" '
            f'height="{row - 8}" rx="2"/>'
        )
    if bar.other is not None:
        x = left + width * bar.other / 100
        parts.append(
            f'<line class="two" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2:.1f}" y2="{y + row - 2:.1f}"/>'
        )
    text = "no pixels" if bar.value is None else f"{bar.value:.1f}"
    if bar.value is not None and bar.other is not None:
        text += f" ({bar.value - bar.other:+.2f})"
    parts.append(f'<text class="dim" x="{right + 8}" y="{middle:.1f}">{text}</text>')
    return parts


def _short(name: str) -> str:
    clean = name.strip()
    return clean if len(clean) <= 24 else f"{clean[:23]}…"


@dataclass(frozen=True)
class Series:
    """Times of one subject, in milliseconds."""

    name: str
    times: Sequence[float]


def percentile_plot(series: Sequence[Series], *, title: str) -> str:
    """Return a plot of time by percentile, one line per series; flat means steady latency."""
    highest = max(float(np.max(one.times)) for one in series) * 1.05
    shares = (0, 25, 50, 75, 90, 100)
    parts = [*_axes(highest, title=title, across="percentile of frames", shares=shares)]
    for number, one in enumerate(series):
        points = _polyline(_percentiles(one.times), highest)
        parts.append(f'<polyline class="line {_CLASSES[number % 2]}" points="{points}"/>')
    return "".join([*parts, "</svg>"])


def curve_plot(
    points: Sequence[Point], *, title: str, across: str, mark: Point | None = None
) -> str:
    """Return a line through points in percent; the axis upwards ends at the highest one.

    Args:
        points: At least one, (across, up), from left to right.
        title: For readers that see no image.
        across: What the axis across shows.
        mark: A point to mark with a dot.
    """
    highest = max(*(up for _, up in points), mark[1] if mark else 0, 1e-3) * 1.05
    parts = [*_axes(highest, title=title, across=across)]
    parts.append(f'<polyline class="line one" points="{_polyline(points, highest)}"/>')
    if mark is not None:
        x, y = _place(mark, highest)
        parts.append(f'<circle class="two" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class Mark:
    """A point of a scatter plot.

    Attributes:
        place: (across, up).
        name: What a pointer over it shows.
        on_line: Whether the line goes through it.
        chosen: Whether it stands out.
    """

    place: Point
    name: str
    on_line: bool = False
    chosen: bool = False


def scatter_plot(marks: Sequence[Mark], *, title: str, across: str) -> str:
    """Return points with a line through some of them; both axes hold all points.

    Args:
        marks: At least one.
        title: For readers that see no image.
        across: What the axis across shows.
    """
    rightmost = max(*(mark.place[0] for mark in marks), 1e-3) * 1.05
    lowest = min(0.0, *(mark.place[1] for mark in marks))
    highest = max(*(mark.place[1] for mark in marks), lowest + 1e-3)
    span = (highest - lowest) * 1.05

    def placed(mark: Mark) -> Point:
        return 100 * mark.place[0] / rightmost, mark.place[1] - lowest

    parts = [*_axes(span, title=title, across=across, lowest=lowest, rightmost=rightmost)]
    line = sorted(placed(mark) for mark in marks if mark.on_line)
    parts.append(f'<polyline class="line one" points="{_polyline(line, span)}"/>')
    # What stands out is drawn last, over the others.
    for mark in sorted(marks, key=lambda mark: mark.chosen):
        x, y = _place(placed(mark), span)
        look = 'class="two" r="6"' if mark.chosen else f'class="one" r="{5 if mark.on_line else 3}"'
        name = f"<title>{escape(mark.name)}</title>"
        parts.append(f'<circle {look} cx="{x:.1f}" cy="{y:.1f}">{name}</circle>')
    return "".join([*parts, "</svg>"])


def _axes(
    highest: float,
    *,
    title: str,
    across: str,
    shares: Sequence[int] = range(0, 101, 25),
    lowest: float = 0.0,
    rightmost: float = 100.0,
) -> Iterator[str]:
    """Yield the beginning of a plot.

    Args:
        highest: The top of the axis upward, above its lowest value.
        title: For readers that see no image.
        across: What the axis across shows.
        shares: Where that has labels, in percent of its length.
        lowest: What the labels upward begin with.
        rightmost: What the labels across end with.
    """
    yield _open(_HEIGHT, title)
    yield from _grid(highest, lowest)
    for share in shares:
        x, y = _place((share, 0), highest)
        label = _label(rightmost * share / 100)
        yield f'<text class="dim" x="{x:.1f}" y="{y + 18:.1f}" {_MIDDLE}>{label}</text>'
    where = f'x="{(_LEFT + _RIGHT) / 2}" y="{_HEIGHT - 4}"'
    yield f'<text class="dim" {where} {_MIDDLE}>{escape(across)}</text>'


def _place(point: Point, highest: float) -> Point:
    """Return where a point, across in percent and up, is in the image."""
    x = _LEFT + (_RIGHT - _LEFT) * point[0] / 100
    return x, _BOTTOM - (_BOTTOM - _TOP) * point[1] / highest


def _grid(highest: float, lowest: float) -> Iterator[str]:
    """Yield the lines up to a highest value; their labels begin at the lowest."""
    for step in range(5):
        value = highest * step / 4
        _, y = _place((0, value), highest)
        label = _label(lowest + value)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="dim" x="{_LEFT - 6}" y="{y + 4:.1f}" {_END}>{label}</text>'


def _label(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"  # never with an exponent


_END = 'text-anchor="end"'
_CLASSES = ("one", "two")


def _polyline(points: Sequence[Point], highest: float) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(point, highest) for point in points))


def _percentiles(times: Sequence[float]) -> list[Point]:
    """Return times as points, across their percentile; a single one is a flat line."""
    ordered = np.sort(np.asarray(times, np.float64))
    if ordered.size == 1:
        ordered = np.repeat(ordered, 2)
    shares = np.linspace(0, 100, ordered.size)
    return list(zip(shares.tolist(), ordered.tolist(), strict=True))
