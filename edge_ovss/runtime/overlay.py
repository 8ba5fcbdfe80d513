"""Draw a label map over its image, with a legend."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss._safe_text import shown
from edge_ovss.bundle.contract import UNKNOWN
from edge_ovss.errors import UsageError
from edge_ovss.frames.images import Labels, write_picture
from edge_ovss.frames.source_notes import note
from edge_ovss.runtime.draw_text import Lettering
from edge_ovss.runtime.legend import PAPER, LegendEntry, draw_legend
from edge_ovss.runtime.result import Result

ALPHA = 0.55
ENTRIES = 16
_BORDER = 0.55
_CHECKED_AT = 9.0
UNKNOWN_LINE = "unknown"
# The swatch is an empty box: what is unknown is not painted over.
_NOT_PAINTED = (PAPER, PAPER, PAPER)


def draw_overlay(
    frame: NDArray[np.uint8],
    result: Result,
    palette: NDArray[np.uint8],
    *,
    alpha: float = ALPHA,
    entries: int = ENTRIES,
) -> NDArray[np.uint8]:
    """Return the frame blended with its categories' colors, with a legend below or beside it.

    Args:
        frame: uint8 [H, W, 3], RGB.
        result: The result of a segmenter for it.
        palette: uint8 [K, 3], RGB.
        alpha: Weight of the colors, 0 to 1.
        entries: Maximum number of lines in the legend; one more sums up the rest.

    Returns:
        uint8 [h, w, 3] RGB; the legend does not cover the image, which keeps its size.

    Raises:
        UsageError: `alpha` is outside 0 to 1.
    """
    picture = blend(frame, result.labels, palette, alpha=alpha)
    lines = legend_entries(result, palette, entries=entries)
    height, width = picture.shape[:2]
    return _join(picture, draw_legend(lines, height=height, width=width))


def write_overlay(
    path: str | os.PathLike[str],
    frame: NDArray[np.uint8],
    result: Result,
    palette: NDArray[np.uint8],
    *,
    alpha: float = ALPHA,
) -> None:
    """Write `draw_overlay` as a PNG.

    Raises:
        OutputError: It cannot be written; what was at `path` is then unchanged.
        UsageError: `alpha` is not in 0 to 1.
    """
    write_picture(path, draw_overlay(frame, result, palette, alpha=alpha))


def blend(
    frame: NDArray[np.uint8],
    labels: Labels,
    palette: NDArray[np.uint8],
    *,
    alpha: float = ALPHA,
) -> NDArray[np.uint8]:
    """Return the frame blended with the categories' colors, borders darker; uint8 [H, W, 3] RGB.

    Where the label is unknown, the frame stays as it is.

    Raises:
        UsageError: `alpha` is not in 0 to 1.
    """
    if not 0.0 <= alpha <= 1.0:
        message = f"alpha is {alpha}; expected a number from 0 to 1."
        raise UsageError(message)
    cv2 = require("cv2", extra="onnxruntime")
    colors = paint(labels, palette)
    mixed: NDArray[np.uint8] = cv2.addWeighted(frame, 1.0 - alpha, colors, alpha, 0.0)
    unknown = labels == UNKNOWN[str(labels.dtype)]
    if alpha > 0.0:
        border = _borders(labels)
        mixed[border] = (_BORDER * mixed[border]).astype(np.uint8)
    mixed[unknown] = frame[unknown]
    return mixed


def paint(labels: Labels, palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colors of labels, uint8 [H, W, 3] RGB; unknown is black."""
    colors = np.zeros((UNKNOWN[str(labels.dtype)] + 1, 3), np.uint8)
    colors[: len(palette)] = palette
    painted: NDArray[np.uint8] = colors[labels]
    return painted


def legend_entries(
    result: Result, palette: NDArray[np.uint8], *, entries: int = ENTRIES
) -> Sequence[LegendEntry]:
    """Return the lines of a legend, the largest share first; then the rest in one, then unknown.

    A name that OpenCV cannot draw is replaced by "#" and its number in the label map.

    Warns:
        SourceNote: The name that such a number stands for.
    """
    pixels = result.pixels()
    order = [i for i in np.argsort(-pixels, kind="stable").tolist() if pixels[i]]
    # A single remaining entry takes no more room than a line that sums it up.
    shown = order if len(order) <= entries + 1 else order[:entries]
    share = pixels / result.labels.size
    names = [_drawn_name(i, result.names[i].strip()) for i in shown]
    lines = [
        LegendEntry(name, _color(palette[i]), float(share[i]))
        for i, name in zip(shown, names, strict=True)
    ]
    rest = order[len(shown) :]
    if rest:
        lines.append(LegendEntry(f"{len(rest)} others", None, float(share[rest].sum())))
    if result.unknown:
        lines.append(LegendEntry(UNKNOWN_LINE, _NOT_PAINTED, result.unknown))
    return lines


def _drawn_name(number: int, name: str) -> str:
    if Lettering(_CHECKED_AT).can_draw(name):
        return name
    note(f"in legends #{number} stands for '{shown(name)}', which OpenCV cannot draw")
    return f"#{number}"


def _color(row: NDArray[np.uint8]) -> tuple[int, int, int]:
    return int(row[0]), int(row[1]), int(row[2])


def _borders(labels: Labels) -> NDArray[np.bool_]:
    """Return where the right or lower neighbor has a different category; thicker if large."""
    border = np.zeros(labels.shape, bool)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1, :] |= labels[:-1, :] != labels[1:, :]
    thickness = round(math.sqrt(labels.size) / 600)
    if thickness < 2:
        return border
    cv2 = require("cv2", extra="onnxruntime")
    brush = np.ones((thickness, thickness), np.uint8)
    thick: NDArray[np.uint8] = cv2.dilate(border.view(np.uint8), brush)
    return thick.astype(bool)


def _join(picture: NDArray[np.uint8], legend: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Place the legend below a landscape image, or to the right of others."""
    height, width = picture.shape[:2]
    if width >= height:
        canvas = np.full((height + legend.shape[0], legend.shape[1], 3), PAPER, np.uint8)
        canvas[height:] = legend
    else:
        canvas = np.full((legend.shape[0], width + legend.shape[1], 3), PAPER, np.uint8)
        canvas[:, width:] = legend
    canvas[:height, :width] = picture
    return canvas
