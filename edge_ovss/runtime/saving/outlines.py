"""The outlines of a mask along the edges of its pixels, so that areas are exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ovss._optional import require

Ring = list[list[int]]
Polygon = list[Ring]

# Directions in the order of a right turn, y pointing down: east, south, west, north.
_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the polygons of a mask: for each, its outer ring and then its holes.

    Pixel (x, y) covers the square from (x, y) to (x + 1, y + 1). Pixels that touch only at a corner
    belong to different polygons. Rings are closed and have corners only; outer ones have a positive
    area by the shoelace formula, holes a negative one.

    Args:
        mask: bool [H, W].
    """
    cv2 = require("cv2", extra="onnxruntime")
    count, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    found: list[Polygon] = [[] for _ in range(count - 1)]
    for ring, (row, column) in _rings(mask):
        polygon = found[int(parts[row, column]) - 1]
        # The first edge of an outer ring in reading order is its topmost one: found before holes.
        polygon.append(ring)
    return found


def _rings(mask: NDArray[np.bool_]) -> list[tuple[Ring, tuple[int, int]]]:
    """Return each ring with a pixel (row, column) inside the mask beside it."""
    edges = _edges(mask)
    starts = np.argwhere(edges[0])  # every ring, outer or hole, has an edge that goes east
    alive = [bytearray(edge.tobytes()) for edge in edges]
    width = mask.shape[1] + 1
    found = []
    for row, column in starts.tolist():
        if alive[0][row * width + column]:
            found.append((_follow(alive, width, row, column), (row, column)))
    return found


def _edges(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return by direction whether an edge starts at each corner, [H + 1, W + 1].

    The mask is to the right of every edge.
    """
    height, width = mask.shape
    wide = np.zeros((height + 2, width + 2), bool)
    wide[1:-1, 1:-1] = mask
    # The four pixels around each corner.
    above_left, above = wide[:-1, :-1], wide[:-1, 1:]
    left, here = wide[1:, :-1], wide[1:, 1:]
    return [here & ~above, left & ~here, above_left & ~left, above & ~above_left]


def _follow(alive: list[bytearray], width: int, row: int, column: int) -> Ring:
    """Return the closed ring that starts with the edge to the east, and remove its edges."""
    ring: Ring = [[column, row]]
    heading, x, y = 0, column, row
    while True:
        alive[heading][y * width + x] = 0
        x, y = x + _STEPS[heading][0], y + _STEPS[heading][1]
        # Right turns first: that keeps to the same pixel where two touch at a corner.
        turned = next(
            (turn for turn in (1, 0, 3) if alive[(heading + turn) % 4][y * width + x]), None
        )
        if turned is None:
            break
        if turned:
            heading = (heading + turned) % 4
            ring.append([x, y])
    if ring[-1] != ring[0]:
        ring.append(ring[0][:])
    return ring
