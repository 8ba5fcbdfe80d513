"""The example images of a report, embedded in the page."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from edge_ovss._optional import require
from edge_ovss.report.data import ReportData

_WIDEST = 480
_KINDS = {"frame": "frame", "torch": "torch", "backend": "bundle", "difference": "difference"}


def gallery(data: ReportData) -> str:
    """Return the examples of the comparisons, one row each, with a legend of the colors."""
    rows = []
    for picture in data.pictures:
        figures = "".join(
            f"<figure><img alt='{_KINDS[kind]}' src='{inline(path)}'>"
            f"<figcaption>{_KINDS[kind]}</figcaption></figure>"
            for kind, path in picture.files.items()
            if kind in _KINDS
        )
        rows.append(f"<h3>{escape(picture.title)}</h3><div class='row'>{figures}</div>")
    return "".join([*rows, _colors(data)]) if rows else ""


def _colors(data: ReportData) -> str:
    """Return the legend of the outputs' colors."""
    words = data.bundle.vocabulary
    chips = "".join(
        f"<span><i style='background:rgb({red},{green},{blue})'></i>{escape(name)}</span>"
        for name, (red, green, blue) in zip(
            words.display_names, words.palette.tolist(), strict=True
        )
    )
    return f"<details open><summary>Colors</summary><p class='chips'>{chips}</p></details>"


def inline(path: Path, *, widest: int | None = _WIDEST) -> str:
    """Return an image as a data URL, downscaled so that the page opens quickly."""
    cv2 = require("cv2", extra="onnxruntime")
    image = cv2.imread(str(path))
    if image is None:
        return "data:,"
    height, width = image.shape[:2]
    if widest is not None and width > widest:
        size = (widest, max(1, round(height * widest / width)))
        # Label maps must keep their colors: no interpolation.
        image = cv2.resize(image, size, interpolation=cv2.INTER_NEAREST)
    _, data = cv2.imencode(".png", image)
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()
