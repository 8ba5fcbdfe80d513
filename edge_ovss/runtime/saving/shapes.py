"""Label maps as polygons: GeoJSON for maps and geometry, LabelMe for annotation tools."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require
from edge_ovss.runtime.saving.outlines import polygons

_LABELME = "5.5.0"
_FEWEST = 3


def geojson(labels: NDArray[np.integer], names: Sequence[str]) -> dict[str, object]:
    """Return a FeatureCollection with one MultiPolygon for each output that occurs.

    Coordinates are pixels: x to the right, y down, and (0, 0) is the corner of the first pixel. The
    polygons follow the edges of the pixels, so their areas are numbers of pixels.

    Args:
        labels: uint8 or uint16 [H, W]; values that are not in `names` are left out.
        names: The K output names.
    """
    features = []
    for label in _present(labels, names):
        mask = labels == label
        facts = {"label": label, "name": names[label], "pixels": int(np.count_nonzero(mask))}
        shape = {"type": "MultiPolygon", "coordinates": polygons(mask)}
        features.append({"type": "Feature", "properties": facts, "geometry": shape})
    return {"type": "FeatureCollection", "features": features}


def labelme(labels: NDArray[np.integer], names: Sequence[str], image: str) -> dict[str, object]:
    """Return an annotation of LabelMe.

    Its polygons have no holes. So they are sorted by size: what lies in a hole comes later and is
    painted over it, and the tool draws exactly the label map. They go through the middle of the
    pixels, as LabelMe draws them.

    Args:
        labels: uint8 or uint16 [H, W]; values that are not in `names` are left out, so what is
            unknown inside a region is covered by it.
        names: The K output names.
        image: Path of the image, relative to the annotation.
    """
    found = [
        shape
        for label in _present(labels, names)
        for shape in _outer(labels == label, names[label])
    ]
    found.sort(key=lambda sized: -sized[0])
    return {
        "version": _LABELME,
        "flags": {},
        "shapes": [shape for _, shape in found],
        "imagePath": image,
        "imageData": None,
        "imageHeight": int(labels.shape[0]),
        "imageWidth": int(labels.shape[1]),
    }


def _present(labels: NDArray[np.integer], names: Sequence[str]) -> list[int]:
    return [label for label in np.unique(labels).tolist() if label < len(names)]


def _outer(mask: NDArray[np.bool_], name: str) -> list[tuple[int, dict[str, object]]]:
    """Return the outer outline of each part of a mask, with the pixels inside it."""
    cv2 = require("cv2", extra="onnxruntime")
    count, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    found = []
    for part in range(1, count):
        left, top, width, height, _ = (int(value) for value in boxes[part])
        alone = (parts[top : top + height, left : left + width] == part).astype(np.uint8)
        outlines, _ = cv2.findContours(alone, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        filled = cv2.drawContours(alone, outlines, -1, 1, cv2.FILLED)
        corners = (outlines[0][:, 0] + (left, top)).tolist()
        corners += [corners[-1]] * (_FEWEST - len(corners))  # a pixel or a line
        found.append((int(np.count_nonzero(filled)), _shape(name, corners)))
    return found


def _shape(name: str, corners: list[list[int]]) -> dict[str, object]:
    return {
        "label": name,
        "points": [[float(x), float(y)] for x, y in corners],
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
    }
