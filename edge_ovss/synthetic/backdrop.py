"""Sky, what closes the street far away, and the ground with its markings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edge_ovss.synthetic import classes
from edge_ovss.synthetic.canvas import UNIT, Canvas, Color, shade
from edge_ovss.synthetic.plan import Plan, Weather
from edge_ovss.synthetic.rng import Random
from edge_ovss.synthetic.texture import sample, texture

_ASPHALTS: tuple[Color, ...] = ((92, 92, 96), (110, 110, 112), (126, 124, 122), (84, 88, 96))
_PAVINGS: tuple[Color, ...] = ((158, 152, 144), (142, 142, 146), (168, 150, 138), (128, 124, 120))
_GRASSES: tuple[Color, ...] = ((84, 118, 56), (104, 128, 62), (72, 104, 52), (122, 126, 74))


def draw_sky(canvas: Canvas, plan: Plan, random: Random) -> None:
    """Gradient from the top to the horizon, with clouds that flatten towards it."""
    horizon = plan.camera.horizon
    box = canvas.box(-(1 << 40), -(1 << 40), 1 << 40, horizon + UNIT // 64)
    y = np.clip(canvas.y[box.rows], 0, horizon)
    base = _blend(plan.weather.zenith, plan.weather.haze, y * 256 // horizon)
    low = horizon - y + UNIT // 8
    x = canvas.x[box.cols] + random.between(0, 1 << 20)
    shift = random.between(0, 255)
    depth = ((1 << 20) // low)[:, None]
    noise = texture("soft")[((depth >> 3) + shift) & 255, (x * depth >> 13) & 255]
    part = np.clip((noise.astype(np.int32) - plan.weather.clouds) * 4 + 96, 0, 256)[..., None]
    cloud = np.asarray(plan.weather.cloud, np.int32)
    mixed = base[:, None] + ((cloud - base[:, None]) * part >> 8)
    canvas.image[box.rows, box.cols] = mixed.astype(np.uint8)
    canvas.labels[box.rows, box.cols] = classes.SKY
    if canvas.surfaces is not None:
        canvas.surfaces.mark_sky((box.rows, box.cols), classes.SKY)


def _blend(top: Color, bottom: Color, part: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Colors between two, int32, shape (n, 3); `part` of 256 is the second."""
    first, second = np.asarray(top, np.int32), np.asarray(bottom, np.int32)
    return first + ((second - first) * part.astype(np.int32)[:, None] >> 8)


def draw_skyline(canvas: Canvas, plan: Plan, random: Random) -> None:
    """Hazy houses and trees around the end of the street, as far as the image is wide."""
    end = plan.road.end * 13 // 10
    reach = int(np.max(np.abs(canvas.x))) * end // plan.camera.focal + 2000
    key = random.bits()
    # A wider image shows more stretches; each has a stream of its own, so none of them moves.
    for stretch in range(-reach // 4000, reach // 4000 + 1):
        own = Random(key, f"stretch {stretch}")
        _skyline_piece(canvas, plan, own, (stretch * 4000, end))


def _skyline_piece(canvas: Canvas, plan: Plan, random: Random, at: tuple[int, int]) -> None:
    """One stretch of 40 metres: two or three houses or groups of trees."""
    x, z = at
    end = x + 4000
    while x < end:
        width, tall = random.between(900, 2400), random.between(500, 1500)
        if random.chance(45):
            wall = _hazy(
                random.choice(((150, 130, 115), (170, 160, 150), (120, 110, 110))), plan.weather
            )
            canvas.rect((x, -60, z), (x + width, tall, z), color=wall, label=classes.BUILDING)
            for storey in range(150, tall - 250, 320):
                for column in range(x + 120, x + width - 200, 330):
                    glass = shade(wall, random.between(55, 75))
                    box = (column, storey, z), (column + 130, storey + 150, z)
                    canvas.rect(*box, color=glass, label=classes.BUILDING)
        else:
            leaf = _hazy(random.choice(((80, 100, 70), (95, 105, 75), (100, 95, 80))), plan.weather)
            canvas.rect((x, -60, z), (x + width, 260, z), color=leaf, label=classes.TREE)
            for _ in range(5):
                center = (x + random.between(0, width), random.between(200, tall * 2 // 3), z)
                radius = random.between(180, 380)
                dark = shade(leaf, random.between(85, 112))
                canvas.ellipse(center, (radius, radius), color=dark, label=classes.TREE)
        x += width


def _hazy(color: Color, weather: Weather) -> Color:
    """A color seen through the air of a long street."""
    red, green, blue = ((own * 3 + air) // 4 for own, air in zip(color, weather.haze, strict=True))
    return red, green, blue


def draw_ground(canvas: Canvas, plan: Plan, random: Random) -> None:
    """Road, kerbs, pavements, and what lies beyond them, with markings and texture."""
    camera, road = plan.camera, plan.road
    top = camera.horizon + camera.height * camera.focal // (road.end * 13 // 10 - camera.ahead)
    box = canvas.box(-(1 << 40), top, 1 << 40, 1 << 40)
    below = np.maximum(canvas.y[box.rows] - camera.horizon, 1)
    z = camera.height * camera.focal // below
    x = (canvas.x[box.cols] - camera.center)[None, :] * z[:, None] // camera.focal
    edges = [road.edge(-1), road.left - 14, road.left, road.right, road.right + 14, road.edge(1)]
    zone = np.zeros(x.shape, np.int8)
    for edge in edges:
        zone += x >= edge
    canvas.labels[box.rows, box.cols] = _zone_labels(plan)[zone]
    if canvas.surfaces is not None:
        canvas.surfaces.mark_ground((box.rows, box.cols), _zone_labels(plan)[zone])
    z = z + camera.ahead
    colors = _zone_colors(plan, random)[zone]
    _paint_markings(colors, (x, z), plan=plan, random=random)
    grain = sample("grain", z >> 2, np.zeros(1, np.int64))
    grain = texture("grain")[(z >> 2)[:, None] & 255, (x >> 2) & 255] + grain // 4
    stain = texture("soft")[(z >> 5)[:, None] & 255, (x >> 3) & 255]
    gain = 256 + (grain >> 1) + (stain >> 2)
    lit = colors.astype(np.int32) * gain[..., None].astype(np.int32) >> 8
    canvas.image[box.rows, box.cols] = np.clip(lit, 0, 255).astype(np.uint8)
    _street_shadow(canvas, plan, random)


def _zone_labels(plan: Plan) -> npt.NDArray[np.uint8]:
    """Label of each zone from left to right."""
    walk, road = classes.SIDEWALK, classes.ROAD
    outer = [classes.GRASS if side == "park" else walk for side in plan.sides]
    return np.asarray([outer[0], walk, walk, road, walk, walk, outer[1]], np.uint8)


def _zone_colors(plan: Plan, random: Random) -> npt.NDArray[np.uint8]:
    """Color of each zone from left to right, uint8, shape (7, 3)."""
    asphalt, paving = random.choice(_ASPHALTS), random.choice(_PAVINGS)
    kerb = shade(paving, random.between(105, 125))
    grass = random.choice(_GRASSES)
    outer = [grass if side == "park" else shade(paving, 92) for side in plan.sides]
    zones = (outer[0], paving, kerb, asphalt, kerb, paving, outer[1])
    return np.asarray(zones, np.uint8)


def _paint_markings(
    colors: npt.NDArray[np.uint8],
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    *,
    plan: Plan,
    random: Random,
) -> None:
    """Dashed lines, lines along the kerb, and a zebra crossing."""
    x, z = at
    road = plan.road
    dashed = ((z + random.between(0, 900)) % 900 < random.choice((300, 450, 900)))[:, None]
    middle = (road.left + road.right) // 2
    lines = [middle]
    if road.lanes:
        lines += [middle - road.lanes, middle + road.lanes]
    white, yellow = (222, 222, 218), (206, 180, 80)
    for line in lines:
        if road.left + 80 < line < road.right - 80:
            colors[dashed & (np.abs(x - line) < 8)] = white
    if random.chance(50):
        paint = random.choice((white, yellow, yellow))
        for kerb in (road.left + 30, road.right - 30):
            colors[np.abs(x - kerb) < 6] = paint
    if road.zebra:
        crossing = ((z >= road.zebra) & (z < road.zebra + 320))[:, None]
        stripes = ((x - road.left) % 110 < 55) & (x > road.left + 20) & (x < road.right - 20)
        colors[crossing & stripes] = white


def _street_shadow(canvas: Canvas, plan: Plan, random: Random) -> None:
    """Shadow of the houses on the sunny side, falling over a part of the street."""
    sun, road = plan.weather.sun, plan.road
    if sun == 0 or plan.sides[0 if sun < 0 else 1] == "park" or random.chance(30):
        return
    reach = (road.right - road.left) * random.between(15, 75) // 100
    inner = road.kerb(sun) - sun * reach
    outer = road.edge(sun) + sun * 4000
    near, far = 120 + canvas.camera.ahead, road.end
    corners = [(outer, 0, near), (inner, 0, near), (inner, 0, far), (outer, 0, far)]
    canvas.shadow(corners, keep=random.between(120, 180))
