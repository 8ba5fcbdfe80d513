"""Rows of buildings and fences along the street: planes of constant x, seen in perspective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_ovss.synthetic import classes
from edge_ovss.synthetic.canvas import Box, Canvas, Color, shade
from edge_ovss.synthetic.plan import Plan
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.surfaces import Point
from edge_ovss.synthetic.texture import texture

_WALLS: tuple[Color, ...] = (
    (150, 92, 74),
    (172, 120, 92),
    (196, 180, 152),
    (214, 208, 196),
    (168, 164, 158),
    (124, 112, 104),
    (232, 226, 214),
    (140, 140, 148),
    (186, 150, 110),
    (100, 84, 80),
)
_ROOFS: tuple[Color, ...] = ((92, 70, 64), (84, 86, 94), (128, 76, 60), (70, 66, 66))
_SHOPS: tuple[Color, ...] = (
    (150, 40, 40),
    (40, 60, 130),
    (40, 100, 70),
    (60, 60, 64),
    (190, 150, 60),
)
_DOORS: tuple[Color, ...] = ((90, 50, 40), (40, 60, 90), (50, 80, 60), (60, 56, 54), (120, 30, 34))


@dataclass(frozen=True)
class Building:
    """One house of a row, in centimetres along the street (z0 to z1) and up."""

    z0: int
    z1: int
    tall: int
    roof: int
    storey: int
    pitch: int
    window: tuple[int, int]
    wall: Color
    slate: Color
    glass: Color
    frame: Color
    shop: Color | None
    door: Color


@dataclass(frozen=True)
class FacadePlane:
    """The part of the image that shows the plane at `x` from z0 to z1; `z` in the world."""

    box: Box
    z: npt.NDArray[np.int64]
    up: npt.NDArray[np.int64]


def plan_buildings(plan: Plan, random: Random) -> list[Building]:
    """Houses of one side of the street, near to far; gaps stay between some of them."""
    houses: list[Building] = []
    z = random.between(-600, 100)
    style = _random_building(random, (0, 1))
    while z < plan.road.end:
        length = random.between(500, 1900)
        if random.chance(60):
            style = _random_building(random, (0, 1))
        if random.chance(88):
            houses.append(_moved(style, random, (z, min(z + length, plan.road.end))))
        z += length if random.chance(92) else length + random.between(200, 700)
    return houses


def _random_building(random: Random, span: tuple[int, int]) -> Building:
    """A house with everything drawn."""
    storey = random.between(270, 380)
    pitch = random.between(180, 400)
    wall = shade(random.choice(_WALLS), random.between(85, 110))
    return Building(
        z0=span[0],
        z1=span[1],
        tall=storey * random.between(2, 5) + random.between(0, 80),
        roof=random.choice((0, 0, 120, 220, 320)),
        storey=storey,
        pitch=pitch,
        window=(pitch * random.between(35, 70) // 100, storey * random.between(40, 60) // 100),
        wall=wall,
        slate=random.choice(_ROOFS),
        glass=random.choice(((60, 70, 82), (44, 50, 58), (92, 108, 124), (120, 136, 150))),
        frame=random.choice((shade(wall, 125), (226, 224, 218), shade(wall, 78))),
        shop=random.choice(_SHOPS) if random.chance(40) else None,
        door=random.choice(_DOORS),
    )


def _moved(style: Building, random: Random, span: tuple[int, int]) -> Building:
    """The same style of house on another plot, a little taller or lower."""
    values = {**style.__dict__, "z0": span[0], "z1": span[1]}
    values["tall"] = style.tall * random.between(92, 108) // 100
    values["wall"] = shade(style.wall, random.between(94, 106))
    return Building(**values)


def side_plane(canvas: Canvas, x: int, *, span: tuple[int, int], tall: int) -> FacadePlane | None:
    """Pixels of the plane at `x` between two depths, up to `tall`; None if none is seen."""
    camera = canvas.camera
    start, end = span[0] - camera.ahead, span[1] - camera.ahead
    if camera.ahead and end <= 40:
        return None
    z0, z1 = max(start, 40), max(end, 41)
    near, far = camera.center + x * camera.focal // z0, camera.center + x * camera.focal // z1
    left, right = min(near, far), max(near, far)
    if start < 40:
        left, right = (-(1 << 40), right) if x < 0 else (left, 1 << 40)
    cols = canvas.box(left, 0, right, 1).cols
    if cols.stop <= cols.start:
        return None
    away = np.maximum(np.abs(canvas.x[cols] - camera.center), 1)
    z = np.maximum(abs(x) * camera.focal // away, 1)
    scale = (z << 12) // camera.focal
    shallow = max(int(z.min()), 1)
    top = camera.horizon - (tall - camera.height) * camera.focal // shallow
    bottom = camera.horizon + camera.height * camera.focal // shallow
    box = Box(canvas.box(0, min(top, camera.horizon), 1, bottom + 1).rows, cols)
    up = ((camera.horizon - canvas.y[box.rows])[:, None] * scale[None, :] >> 12) + camera.height
    return FacadePlane(box, z + camera.ahead, up)


def draw_building(canvas: Canvas, house: Building, x: int, *, light: int) -> None:
    """Paint the end wall that faces the camera, then the front along the street.

    Args:
        canvas: The image to paint on.
        house: The house.
        x: Plane of its front; the house lies outside of it.
        light: Brightness of the front, in percent; the end wall has its own.
    """
    _draw_end_wall(canvas, house, x, light=190 - light)
    plane = side_plane(canvas, x, span=(house.z0, house.z1), tall=house.tall + house.roof)
    if plane is None:
        return
    up, along = plane.up, np.maximum(plane.z - house.z0, 0)
    colors = np.empty((*up.shape, 3), np.uint8)
    colors[:] = house.wall
    _paint_windows(colors, (up, along), house)
    _paint_ground_floor(colors, (up, along), house)
    colors[up >= house.tall - 18] = shade(house.wall, 82)
    colors[up >= house.tall] = house.slate
    grain = texture("grain")[(up >> 2) & 255, ((along >> 2) & 255)[None, :]]
    soft = texture("soft")[(up >> 3) & 255, ((plane.z >> 3) & 255)[None, :]]
    gain = light * 256 // 100 + (grain >> 2) + (soft >> 2)
    lit = np.clip(colors.astype(np.int32) * gain[..., None].astype(np.int32) >> 8, 0, 255)
    seen = (up >= 0) & (up < house.tall + house.roof)
    canvas.image[plane.box.rows, plane.box.cols][seen] = lit[seen].astype(np.uint8)
    canvas.labels[plane.box.rows, plane.box.cols][seen] = classes.BUILDING
    canvas.mark(plane.box, seen, points=along_street(x), label=classes.BUILDING)


def along_street(x: int) -> list[Point]:
    """Three points of the upright plane at `x` that runs along the street."""
    return [(x, 0, 0), (x, 100, 0), (x, 0, 100)]


def _draw_end_wall(canvas: Canvas, house: Building, x: int, *, light: int) -> None:
    """Wall and gable across the street's direction, seen where the house before it is lower."""
    if house.z0 - canvas.camera.ahead < 60:
        return
    side = -1 if x < 0 else 1
    back, z = x + side * 1000, house.z0
    wall = shade(house.wall, light * 85 // 100)
    canvas.rect((x, 0, z), (back, house.tall, z), color=wall, label=classes.BUILDING)
    if house.roof:
        gable = [
            (x, house.tall, z),
            (back, house.tall, z),
            (x + side * 500, house.tall + house.roof, z),
        ]
        canvas.polygon(gable, color=shade(wall, 95), label=classes.BUILDING)


def _paint_windows(
    colors: npt.NDArray[np.uint8],
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    house: Building,
) -> None:
    """A grid of windows with frames; some panes mirror the sky, some are lit or dark."""
    up, along = at
    width, tall = house.window
    column, across = np.divmod(along, house.pitch)
    storey, above = np.divmod(up, house.storey)
    length = house.z1 - house.z0
    whole = (column + 1) * house.pitch <= length
    left, low = (house.pitch - width) // 2, (house.storey - tall) * 2 // 3
    in_frame = (across >= left - 12) & (across < left + width + 12) & whole
    in_pane = (across >= left) & (across < left + width) & (np.abs(across - house.pitch // 2) > 4)
    rows = (above >= low - 12) & (above < low + tall + 12) & (up < house.tall - 30)
    panes = (above >= low) & (above < low + tall) & (np.abs(above - low - tall // 2) > 4)
    colors[rows & in_frame[None, :]] = house.frame
    pane = rows & panes & (in_frame & in_pane)[None, :]
    kind = (column[None, :] * 7 + storey * 13 + (column[None, :] * storey) % 5) % 4
    tones = np.asarray([shade(house.glass, share) for share in (100, 75, 130, 100)], np.uint8)
    colors[pane] = tones[kind[pane]]


def _paint_ground_floor(
    colors: npt.NDArray[np.uint8],
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    house: Building,
) -> None:
    """A shop front with its fascia, or doors between the windows."""
    up, along = at
    if house.shop is not None:
        colors[up < house.storey] = shade(house.shop, 80)
        show = (along % 260 > 25)[None, :] & (up > 55) & (up < house.storey - 80)
        colors[show] = shade(house.glass, 90)
        colors[(up >= house.storey - 65) & (up < house.storey - 5)] = house.shop
    spot = along % (house.pitch * 3) - house.pitch
    door = (np.abs(spot) < 52)[None, :] & (up < 222)
    colors[door] = house.frame
    door = (np.abs(spot) < 42)[None, :] & (up < 212)
    colors[door] = house.door


@dataclass(frozen=True)
class Fence:
    """A fence along the street; `kind` is "pickets", "boards", "rails" or "hedge"."""

    kind: str
    z0: int
    z1: int
    tall: int
    color: Color


def plan_fence(random: Random, *, end: int) -> Fence:
    """A fence that starts somewhere near the camera."""
    kind = random.choice(("pickets", "boards", "rails", "rails", "hedge"))
    wood = ((120, 90, 64), (92, 76, 62), (226, 224, 218), (150, 120, 88))
    metal = ((44, 48, 50), (70, 78, 80), (60, 80, 66))
    color = random.choice(metal if kind == "rails" else wood)
    if kind == "hedge":
        color = random.choice(((64, 92, 48), (52, 78, 44), (80, 98, 56)))
    start = random.between(-400, 900)
    return Fence(
        kind, start, min(start + random.between(1200, 5000), end), random.between(95, 185), color
    )


def draw_fence(canvas: Canvas, fence: Fence, x: int, *, light: int) -> None:
    """Paint a fence on the plane at `x`; what is seen between its bars counts as fence."""
    plane = side_plane(canvas, x, span=(fence.z0, fence.z1), tall=fence.tall)
    if plane is None:
        return
    up, along = plane.up, plane.z - fence.z0
    image = canvas.image[plane.box.rows, plane.box.cols]
    seen = (up >= 0) & (up < fence.tall)
    behind = image.astype(np.int32)
    body = np.asarray(shade(fence.color, light), np.int32)
    grain = texture("leaf" if fence.kind == "hedge" else "grain")
    noise = grain[(up >> 1) & 255, ((along >> 1) & 255)[None, :]].astype(np.int32)[..., None]
    solid = np.clip(body * (256 + (noise if fence.kind == "hedge" else noise >> 2)) >> 8, 0, 255)
    colors = np.where(_bars(fence, up, along)[..., None], solid, (behind + 3 * body) >> 2)
    image[seen] = colors[seen].astype(np.uint8)
    label = classes.TREE if fence.kind == "hedge" else classes.FENCE
    canvas.labels[plane.box.rows, plane.box.cols][seen] = label
    canvas.mark(plane.box, seen, points=along_street(x), label=label)


def _bars(
    fence: Fence, up: npt.NDArray[np.int64], along: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Where the fence itself is; elsewhere one looks through it."""
    rails = (up > fence.tall - 14) | (np.abs(up - 28) < 6)
    if fence.kind == "pickets":
        return rails | (along % 22 < 15)[None, :]
    if fence.kind == "rails":
        return rails | (along % 18 < 7)[None, :] | (along % 240 < 10)[None, :]
    return np.ones(up.shape, np.bool_) & (along % 150 >= 0)[None, :]
