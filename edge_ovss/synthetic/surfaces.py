"""Which plane of the world every pixel shows, and the exact flow that follows from it.

Everything that is drawn lies on a plane: the ground, fronts that face the camera, walls along the
street, the slanted sides of cars. So where a pixel was one frame earlier has a closed form. Each
step is one operation in IEEE 754 arithmetic, which gives the same bits everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_ovss.motion.vectors import Motion

Point = tuple[int, int, int]
Floats = npt.NDArray[np.float64]
_NAMES = 256


@dataclass(frozen=True)
class Plane:
    """The points with normal · point = offset, in world centimetres."""

    normal: Point
    offset: int


def facing(point: Point) -> Plane:
    """The plane through a point that faces the camera."""
    return Plane((0, 0, 1), point[2])


def through(points: Sequence[Point]) -> Plane:
    """The plane through a polygon (by Newell's sum); one without area faces the camera."""
    x = y = z = 0
    for (ax, ay, az), (bx, by, bz) in zip(points, [*points[1:], points[0]], strict=True):
        x += (ay - by) * (az + bz)
        y += (az - bz) * (ax + bx)
        z += (ax - bx) * (ay + by)
    if not (x or y or z):
        return facing(points[0])
    at = points[0]
    return Plane((x, y, z), x * at[0] + y * at[1] + z * at[2])


@dataclass(frozen=True)
class Viewpoint:
    """What the flow needs of a camera and an image; lengths as in `Camera`.

    Args:
        focal: Focal length in screen units.
        horizon: Row of the horizon in screen units.
        center: Column straight ahead in screen units.
        height: Height above the ground in centimetres.
        unit: Screen units per height of the image.
        rows: int64, shape (H,), screen y of every row.
        cols: int64, shape (W,), screen x of every column.
    """

    focal: int
    horizon: int
    center: int
    height: int
    unit: int
    rows: npt.NDArray[np.int64]
    cols: npt.NDArray[np.int64]


class Surfaces:
    """Planes and things of one image; later marks cover earlier ones.

    Args:
        height: Rows.
        width: Columns.
        ahead: How far the camera has driven, in centimetres.
    """

    def __init__(self, height: int, width: int, *, ahead: int) -> None:
        self.ahead = ahead
        self._at = np.zeros((height, width), np.int32)
        # Plane 0 is infinitely far away: the sky.
        self._rows: list[tuple[int, ...]] = [(0, 0, 1, 0, 0, 0)]
        self._names = [0]
        self._thing = 0
        self._moved = (0, 0)

    def begin(self, thing: int, moved: tuple[int, int] = (0, 0)) -> None:
        """Say what is marked next.

        Args:
            thing: Its number, the same in every frame.
            moved: How far it has moved in (x, z) since the frame before, in centimetres.
        """
        self._thing, self._moved = thing, moved

    def mark(
        self,
        where: tuple[slice, slice],
        mask: npt.NDArray[np.bool_] | None,
        plane: Plane,
        label: int | None,
    ) -> None:
        """Note that pixels show a plane of the thing; without a label they keep what they show."""
        if label is None:
            return
        self._rows.append((*plane.normal, plane.offset, *self._moved))
        self._names.append(self._thing * _NAMES + label)
        self._at[where][slice(None) if mask is None else mask] = len(self._rows) - 1

    def mark_sky(self, where: tuple[slice, slice], label: int) -> None:
        """Note that pixels show the sky, which does not move."""
        self._names[0] = label
        self._at[where] = 0

    def mark_ground(self, where: tuple[slice, slice], labels: npt.NDArray[np.uint8]) -> None:
        """Note that pixels show the ground, where its parts have different labels."""
        for label in np.unique(labels).tolist():
            self.mark(where, labels == label, Plane((0, 1, 0), 0), label)

    def names(self) -> npt.NDArray[np.int32]:
        """What every pixel shows: a number by thing and label, int32, shape (H, W)."""
        names: npt.NDArray[np.int32] = np.asarray(self._names, np.int32)[self._at]
        return names

    def flow(self, before: Surfaces, view: Viewpoint) -> Motion:
        """Where every pixel was in the image before.

        A vector is valid where the pixel it leads to shows the same part of the same thing.
        """
        vectors, seen = self._vectors(before.ahead, view)
        motion = Motion.of_pixels(vectors, seen)
        sources = motion.sources(*self._at.shape)
        same = before.names().ravel()[sources.index] == self.names()
        valid = (same & sources.trusted).astype(np.uint8)
        return Motion(motion.vectors, valid)

    def _vectors(self, ahead: int, view: Viewpoint) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Vectors in pixels, float64, shape (H, W, 2), and where they exist."""
        table = np.asarray(self._rows, np.float64).T
        nx, ny, nz, offset, dx, dz = (column[self._at] for column in table)
        across = np.asarray(view.cols - view.center, np.float64)[None, :] / view.focal
        up = np.asarray(view.horizon - view.rows, np.float64)[:, None] / view.focal
        slope = nx * across + ny * up + nz
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            depth = (offset - nz * self.ahead - ny * view.height) / slope
            far = depth + (self.ahead - ahead) - dz
            x = (across * depth - dx) / far - across
            y = up * depth / far - up
        sky = self._at == 0
        seen = sky | ((depth > 0) & (far > 0))
        scale = view.focal * len(view.rows) / view.unit
        vectors = np.stack((x * scale, -y * scale), 2)
        vectors[sky | ~seen] = 0
        return vectors, seen
