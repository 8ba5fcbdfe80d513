"""An image with labels, and the shapes that are painted on it through a pinhole camera.

Screen coordinates are integers of which `UNIT` make the height of the image, so a scene looks
the same at every size; world coordinates are centimetres: x to the right of the camera, y up from
the ground, z away from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_ovss.synthetic.surfaces import Point, Surfaces, facing, through

UNIT = 4096
_NEAREST = 100

Color = tuple[int, int, int]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Camera:
    """Where the camera looks; `focal`, `horizon` and `center` in screen units.

    Args:
        focal: Focal length.
        horizon: Row of the horizon.
        center: Column straight ahead.
        height: Height above the ground, in centimetres.
        ahead: How far it has driven along the street, in centimetres.
    """

    focal: int
    horizon: int
    center: int
    height: int
    ahead: int = 0

    def screen(self, point: Point) -> tuple[int, int]:
        """Screen (x, y) of a world point; z is kept in front of the camera."""
        x, y, z = point
        z = self.depth(z)
        return self.center + x * self.focal // z, self.horizon + (self.height - y) * self.focal // z

    def depth(self, z: int) -> int:
        """Distance of a world z from the camera, kept in front of it."""
        return max(z - self.ahead, 40)


@dataclass(frozen=True)
class Box:
    """Rows and columns of a part of the image, as slices."""

    rows: slice
    cols: slice


class Canvas:
    """Colors and labels of an image under construction; later shapes cover earlier ones.

    Args:
        height: Rows.
        width: Columns.
        camera: How world points become screen points.
        surfaces: Takes down which plane every pixel shows, for the flow; None for a still.

    Attributes:
        hidden: Whether everything that is drawn now is left out, because it is too near.
    """

    def __init__(
        self, height: int, width: int, *, camera: Camera, surfaces: Surfaces | None = None
    ) -> None:
        self.camera = camera
        self.surfaces = surfaces
        self.hidden = False
        self.image = np.zeros((height, width, 3), np.uint8)
        self.labels = np.full((height, width), 255, np.uint8)
        rows, cols = np.arange(height, dtype=np.int64), np.arange(width, dtype=np.int64)
        self.y = (2 * rows + 1) * UNIT // (2 * height)
        self.x = (2 * cols + 1 - width) * UNIT // (2 * height)

    def begin(self, thing: int, moved: tuple[int, int] = (0, 0)) -> None:
        """Say what is drawn next: the thing's number, and how far it moved since the last frame."""
        if self.surfaces is not None:
            self.surfaces.begin(thing, moved)

    def too_near(self, z: int) -> bool:
        """Whether something at a world z is too close to a camera that drives, or behind it."""
        return self.surfaces is not None and z - self.camera.ahead < _NEAREST

    def box(self, left: int, top: int, right: int, bottom: int) -> Box:
        """Pixels whose centers lie in a half-open rectangle of screen units."""
        rows = np.searchsorted(self.y, (top, bottom))
        cols = np.searchsorted(self.x, (left, right))
        return Box(slice(int(rows[0]), int(rows[1])), slice(int(cols[0]), int(cols[1])))

    def fill(
        self,
        box: Box,
        mask: Mask | None,
        *,
        color: Color,
        label: int | None,
        points: Sequence[Point],
    ) -> None:
        """Paint the pixels of `box` where `mask` is true (everywhere, for None).

        `points` span the plane that is painted; with one point it faces the camera.
        """
        if self.hidden:
            return
        self.mark(box, mask, points=points, label=label)
        image, labels = self.image[box.rows, box.cols], self.labels[box.rows, box.cols]
        where: Mask | slice = slice(None) if mask is None else mask
        image[where] = color
        if label is not None:
            labels[where] = label

    def mark(
        self, box: Box, mask: Mask | None, *, points: Sequence[Point], label: int | None
    ) -> None:
        """Note that pixels show the plane through `points`, if the flow is asked for."""
        if self.surfaces is None:
            return
        plane = facing(points[0]) if len(points) < 3 else through(points)
        self.surfaces.mark((box.rows, box.cols), mask, plane, label)

    def darken(self, box: Box, mask: Mask, *, keep: int) -> None:
        """Multiply colors by keep/256 where `mask` is true; labels stay."""
        if self.hidden:
            return
        image = self.image[box.rows, box.cols]
        image[mask] = (image[mask].astype(np.uint16) * keep >> 8).astype(np.uint8)

    def rect(self, near: Point, far: Point, *, color: Color, label: int | None) -> None:
        """Upright rectangle facing the camera, between two opposite corners of the same z."""
        (x0, y0), (x1, y1) = self.camera.screen(near), self.camera.screen(far)
        box = self.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        self.fill(box, None, color=color, label=label, points=[near])

    def inside_polygon(self, corners: Sequence[tuple[int, int]]) -> tuple[Box, Mask]:
        """Pixels inside a convex polygon of screen points in either direction of turning."""
        xs, ys = [corner[0] for corner in corners], [corner[1] for corner in corners]
        box = self.box(min(xs), min(ys), max(xs), max(ys))
        x, y = self.x[box.cols], self.y[box.rows, None]
        turn = _area(corners)
        sign = 1 if turn >= 0 else -1
        mask = np.ones((y.shape[0], x.shape[0]), np.bool_)
        for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
            across = (x - ax) * (sign * (by - ay))
            mask &= (y - ay) * (sign * (bx - ax)) >= across
        return box, mask

    def polygon(self, points: Sequence[Point], *, color: Color, label: int | None) -> None:
        """Convex polygon of world points."""
        corners = [self.camera.screen(point) for point in points]
        box, mask = self.inside_polygon(corners)
        self.fill(box, mask, color=color, label=label, points=points)

    def shadow(self, points: Sequence[Point], *, keep: int) -> None:
        """Darken what lies inside a convex polygon of world points."""
        box, mask = self.inside_polygon([self.camera.screen(point) for point in points])
        self.darken(box, mask, keep=keep)

    def inside_ellipse(
        self, center: tuple[int, int], radii: tuple[int, int]
    ) -> tuple[Box, npt.NDArray[np.int64]]:
        """Squared distance from the center, 65536 on the edge, for the pixels around an ellipse."""
        (cx, cy), (rx, ry) = center, (max(radii[0], 1), max(radii[1], 1))
        box = self.box(cx - rx, cy - ry, cx + rx + 1, cy + ry + 1)
        x = (self.x[box.cols] - cx) * 256 // rx
        y = (self.y[box.rows] - cy) * 256 // ry
        return box, (x * x)[None, :] + (y * y)[:, None]

    def ellipse(
        self,
        center: Point,
        radii: tuple[int, int],
        *,
        color: Color,
        label: int | None,
        hole: int = 0,
    ) -> None:
        """Ellipse facing the camera; `radii` (x, y) in centimetres; `hole` in 1/256 of them."""
        scale, depth = self.camera.focal, self.camera.depth(center[2])
        extent = (radii[0] * scale // depth, radii[1] * scale // depth)
        box, distance = self.inside_ellipse(self.camera.screen(center), extent)
        mask = distance <= 65536
        if hole:
            mask &= distance >= hole * hole
        self.fill(box, mask, color=color, label=label, points=[center])

    def spokes(self, center: Point, radius: int, *, label: int) -> None:
        """Disc that one half sees through: what is behind gets darker, and counts as `label`."""
        if self.hidden:
            return
        extent = radius * self.camera.focal // self.camera.depth(center[2])
        box, distance = self.inside_ellipse(self.camera.screen(center), (extent, extent))
        mask = distance <= 65536
        self.mark(box, mask, points=[center], label=label)
        self.darken(box, mask, keep=160)
        self.labels[box.rows, box.cols][mask] = label

    def bar(self, start: Point, end: Point, *, thick: int, color: Color, label: int | None) -> None:
        """Straight bar between two points, `thick` centimetres wide, through or slanted."""
        (ax, ay), (bx, by) = self.camera.screen(start), self.camera.screen(end)
        half = max(thick * self.camera.focal // self.camera.depth(start[2]) // 2, 2)
        if abs(by - ay) >= abs(bx - ax):
            corners = [(ax - half, ay), (ax + half, ay), (bx + half, by), (bx - half, by)]
        else:
            corners = [(ax, ay - half), (ax, ay + half), (bx, by + half), (bx, by - half)]
        box, mask = self.inside_polygon(corners)
        self.fill(box, mask, color=color, label=label, points=[start])


def _area(corners: Sequence[tuple[int, int]]) -> int:
    """Twice the signed area of a polygon."""
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in pairs)


def shade(color: Color, percent: int) -> Color:
    """A color made darker or lighter, clipped to 0 … 255."""
    red, green, blue = (min(max(channel * percent // 100, 0), 255) for channel in color)
    return red, green, blue
